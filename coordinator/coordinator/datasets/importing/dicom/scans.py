"""What a case of DICOM is made of: a CT series, and the object that holds its labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contract.grids import Grid

Kind = Literal["SEG", "RTSTRUCT"]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A CT series of a folder.

    Attributes:
        uid: its UID; never written.
        frame: UID of its frame of reference; never written.
        number: of the series, for people.
        kernel: of its reconstruction, for people.
        files: paths below the source, in order from the first slice of the grid where there is no problem.
        slices: how many there are; an object of many frames holds several.
        grid: of (column, row, slice) in RAS mm; None where there is a problem.
        problem: why it is no volume.
    """

    uid: str
    frame: str
    number: str
    kernel: str
    files: tuple[str, ...]
    slices: int
    grid: Grid | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class LabelObject:
    """A SEG or RTSTRUCT object.

    Attributes:
        file: its path below the source.
        kind: which of the two.
        series: UIDs of the series that it refers to; never written.
        frame: UID of its frame of reference; never written.
        organs: number of a segment or ROI -> organ.
        without_region: names of ROIs that have no closed contour, such as that of the isocentre.
        is_fractional: whether a SEG has a share for each voxel.
        problem: why it can't be used.
    """

    file: str
    kind: Kind
    series: tuple[str, ...]
    frame: str
    organs: Mapping[int, str] = field(default_factory=dict)
    without_region: tuple[str, ...] = ()
    is_fractional: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a case is made of.

    Attributes:
        series: its slices.
        labels: what holds its labels; None where it has none.
    """

    series: Series
    labels: LabelObject | None

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the case."""
        return (*self.series.files, *([self.labels.file] if self.labels else []))

    @property
    def problem(self) -> str | None:
        """Why it can't be imported, as a sentence that names the series or object."""
        if self.series.problem:
            return f"series {self.series.number}: {self.series.problem}"
        if self.labels and self.labels.problem:
            return f"{self.labels.kind} of series {self.series.number}: {self.labels.problem}"
        return None
