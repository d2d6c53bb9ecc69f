"""What is asked of every organ when label maps are scored; plain data that a plan holds, so it imports nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Distances:
    """How far the surfaces of an organ are apart.

    Attributes:
        hd95_mm: 95th percentile of the distances of each surface to the other one, the larger of both.
        assd_mm: mean of the distances of both surfaces to the other one.

    Both are weighed by area; NaN when neither map has the organ, infinite when only one has.
    """

    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is asked of every organ of a case.

    Attributes:
        tolerance_mm: of surface Dice, at least 0.
        of_organ_mm: organ -> tolerance that it has instead.
        also_mm: further tolerances of all organs.
        labelled_slices: organs of which only the slices from the reference's first to the last but one count.
        distances: whether HD95 and average surface distance are wanted; they take longer than all the rest.
    """

    tolerance_mm: float = 1.0
    of_organ_mm: Mapping[str, float] = field(default_factory=dict)
    also_mm: tuple[float, ...] = ()
    labelled_slices: tuple[str, ...] = ()
    distances: bool = False

    def tolerances_mm(self, organ: str) -> tuple[float, ...]:
        """An organ's tolerance, and all the further ones."""
        return (self.of_organ_mm.get(organ, self.tolerance_mm), *self.also_mm)

    def said(self, organs: Iterable[str]) -> str:
        """The tolerances of surface Dice in words, such as "5 mm (liver, stomach) and 2 mm (aorta)"."""
        having: dict[float, list[str]] = {}
        for organ in dict.fromkeys(organs):
            having.setdefault(self.tolerances_mm(organ)[0], []).append(organ.replace("_", " "))
        if len(having) <= 1:
            return f"{next(iter(having), self.tolerance_mm):g} mm"
        *others, last = (f"{mm:g} mm ({', '.join(named)})" for mm, named in sorted(having.items(), reverse=True))
        return f"{', '.join(others)} and {last}"

    def settings(self) -> dict[str, Any]:
        """The same as JSON has it."""
        lists = {"also_mm": list(self.also_mm), "labelled_slices": list(self.labelled_slices)}
        return {**asdict(self), **lists}


def from_settings(settings: Mapping[str, Any]) -> Scoring:
    """What `Scoring.settings` was made of."""
    tuples = {key: tuple(settings[key]) for key in ("also_mm", "labelled_slices")}
    return Scoring(**{**settings, **tuples})
