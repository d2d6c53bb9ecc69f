"""What to measure when label maps are scored. Plans hold this as plain data, so the module imports nothing heavy."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances between the two surfaces of an organ, weighed by area.

    Both are NaN when neither map has the organ, and infinite when only one has it.

    Attributes:
        hd95_mm: 95th percentile of the distances from each surface to the other; the larger of the two.
        assd_mm: mean of the distances from both surfaces to the other.
    """

    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True, slots=True)
class Scoring:
    """What to measure for every organ of a case.

    Attributes:
        tolerance_mm: of surface Dice, at least 0.
        of_organ_mm: organ -> its own tolerance of surface Dice.
        also_mm: further tolerances for all organs.
        labelled_slices: organs that are scored only in the slices from the first to the last but one of the reference.
        distances: whether to measure HD95 and average surface distance; they take longer than everything else.
    """

    tolerance_mm: float = 1.0
    of_organ_mm: Mapping[str, float] = field(default_factory=dict)
    also_mm: tuple[float, ...] = ()
    labelled_slices: tuple[str, ...] = ()
    distances: bool = False

    def tolerances_mm(self, organ: str) -> tuple[float, ...]:
        """An organ's tolerance, then the further tolerances."""
        return (self.of_organ_mm.get(organ, self.tolerance_mm), *self.also_mm)

    def describe_tolerances(self, organs: Iterable[str]) -> str:
        """The tolerances of surface Dice in words, such as "5 mm (liver, stomach) and 2 mm (aorta)"."""
        organs_by_mm: dict[float, list[str]] = {}
        for organ in dict.fromkeys(organs):
            organs_by_mm.setdefault(self.tolerances_mm(organ)[0], []).append(organ.replace("_", " "))
        if len(organs_by_mm) <= 1:
            return f"{next(iter(organs_by_mm), self.tolerance_mm):g} mm"
        *first, last = (f"{mm:g} mm ({', '.join(names)})" for mm, names in sorted(organs_by_mm.items(), reverse=True))
        return f"{', '.join(first)} and {last}"

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values; `scoring_from_json` reads them."""
        lists = {"also_mm": list(self.also_mm), "labelled_slices": list(self.labelled_slices)}
        return {**asdict(self), **lists}


def scoring_from_json(values: Mapping[str, Any]) -> Scoring:
    """Read what `Scoring.as_json` returned."""
    tuples = {key: tuple(values[key]) for key in ("also_mm", "labelled_slices")}
    return Scoring(**{**values, **tuples})
