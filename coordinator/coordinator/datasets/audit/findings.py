"""What the audit says: one finding is one thing that is wrong or odd, with a number and what to do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Weight(IntEnum):
    """How bad a finding is; the table is sorted by it."""

    UNUSABLE = 4
    """The case is set aside: no step uses it."""
    WRONG = 3
    """Almost surely wrong: such as left and right swapped."""
    SUSPECT = 2
    """Wrong in most cases, and worth a look."""
    ODD = 1
    """Unlike the others, or unusual about a file; perhaps right."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look.

    Attributes:
        voxel: index in the RAS+ array of the case's image.
        axis: the slice that shows it lies across this axis: 0 sagittal, 1 coronal, 2 axial.
    """

    voxel: tuple[int, int, int]
    axis: int = 2


@dataclass(frozen=True, slots=True)
class Repair:
    """What would surely mend a finding; `repairs.py` does it in a new dataset folder.

    Attributes:
        case: whose file is mended.
        how: `round labels` writes them as the whole numbers that they are read as; `swap sides` exchanges two ids;
            `qform` makes it that of the sform, which counts already.
        swap: the two ids that change places.
        folder: `images` or `labels`, where the file lies.
    """

    case: str
    how: Literal["round labels", "swap sides", "qform"]
    folder: Literal["images", "labels"]
    swap: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong or odd in a dataset.

    Attributes:
        kind: of the thing, in a few words with hyphens, such as `left-right-swapped`; one for each check.
        weight: how bad it is.
        text: what was found, with its number and unit; no full stop.
        advice: what to do; no full stop.
        case: empty for the dataset as a whole.
        organ: empty where it is not about one.
        number: what the finding's size is measured by; findings of one kind are sorted by it, the greatest first.
        unit: of the number.
        place: where to look; None where there is nothing to be seen.
        repairs: what would surely mend it, one for each file; none where somebody must decide.
    """

    kind: str
    weight: Weight
    text: str
    advice: str
    case: str = ""
    organ: str = ""
    number: float | None = None
    unit: str = ""
    place: Place | None = None
    repairs: tuple[Repair, ...] = ()


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first: by weight, then by kind, then by number, then by case and organ."""
    return sorted(findings, key=lambda f: (-f.weight, f.kind, -(f.number or 0.0), f.case, f.organ))


def count_kinds(findings: Iterable[Finding]) -> list[tuple[str, str, int]]:
    """Weight, kind and how many findings, in their order."""
    return [
        (weight.name.lower(), kind, n) for (weight, kind), n in Counter((f.weight, f.kind) for f in findings).items()
    ]
