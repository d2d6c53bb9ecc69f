"""What is measured of the organs of a case: plain numbers, so that they can be kept and compared with other cases'.

Voxels are indices in the RAS+ array of the image; positions in mm are world coordinates (x grows to the patient's
right, y to the front, z to the head).
"""

from dataclasses import dataclass

Voxel = tuple[int, int, int]
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Piece:
    """A connected part of an organ.

    Attributes:
        volume_ml: its volume.
        voxels: its size.
        voxel: one of its voxels, near its middle.
    """

    volume_ml: float
    voxels: int
    voxel: Voxel


@dataclass(frozen=True, slots=True)
class Hole:
    """What an organ encloses.

    Attributes:
        volume_ml: its volume.
        voxels: its size.
        voxel: one of its voxels, near its middle.
        label: most frequent label in it; 0 where it is background.
    """

    volume_ml: float
    voxels: int
    voxel: Voxel
    label: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Slices without the organ between slices with it.

    Attributes:
        axis: across which the slices lie.
        slices: how many are empty.
        length_mm: of the gap.
        section_share: largest section of the smaller part, of the organ's largest section.
        volume_share: volume of the smaller part, of the organ's.
        overlap: of the sections beside the gap, as a share of the smaller one.
        voxel: in the gap, on the line between the two parts.
    """

    axis: int
    slices: int
    length_mm: float
    section_share: float
    volume_share: float
    overlap: float
    voxel: Voxel


@dataclass(frozen=True, slots=True)
class End:
    """The first or the last slice of an organ along an axis.

    Attributes:
        axis: across which the slice lies.
        direction: 1 at the end of higher indices, else -1.
        area_mm2: of the organ in its last slice.
        share_of_deeper: that area, of the area a little deeper inside: about 1 where the organ is cut flat.
        share_of_largest: that area, of the organ's largest section.
        slice_mm: distance of the slices.
        beyond_slices: slices of the image behind the end.
        alike_beyond: share of the section whose neighbours behind the end have the organ's HU.
        voxel: in the last slice, near the middle of the section.
    """

    axis: int
    direction: int
    area_mm2: float
    share_of_deeper: float
    share_of_largest: float
    slice_mm: float
    beyond_slices: int
    alike_beyond: float
    voxel: Voxel


@dataclass(frozen=True, slots=True)
class Jump:
    """A place where the organ's outline jumps from one slice to the next.

    Attributes:
        axis: across which the slices lie.
        overlap: Dice of the two sections.
        usual_overlap: Dice of sections beside it.
        voxel: in the slice after the jump, near the middle of its section.
    """

    axis: int
    overlap: float
    usual_overlap: float
    voxel: Voxel


@dataclass(frozen=True, slots=True)
class OrganMeasures:
    """What is measured of one organ of a case.

    Attributes:
        label: its id.
        voxels: its size.
        volume_ml: its volume.
        centroid_mm: middle of its voxels.
        voxel: one of its voxels, near its middle.
        low_mm, high_mm: of its bounding box along x, y and z of the world.
        median_hu: of its voxels.
        air_share: of its voxels, those below -500 HU.
        air_voxel: one of them; `voxel` where there is none.
        border_mm2: area on the image's six faces: low and high x, y and z of the array.
        off_body_mm: distance of the centroid from the middle of the body at its height, positive to the right; None
            where the image does not show both sides of the body.
        off_spine_mm: distance from the spine that the image shows; None where none is found.
        pieces: its connected parts, the largest first; at most 3. Those that may be joined outside the image are one.
        piece_count: number of them all.
        holes: what it encloses, the largest first; at most 3 of background and 3 of other labels.
        gaps: empty slices inside it.
        ends: those that do not lie at the image's border: both along z, and the flat ones of the others.
        jumps: where it jumps between slices; the worst 3.
        jump_count: number of them all.
    """

    label: int
    voxels: int
    volume_ml: float
    centroid_mm: Point
    voxel: Voxel
    low_mm: Point
    high_mm: Point
    median_hu: float
    air_share: float
    air_voxel: Voxel
    border_mm2: tuple[float, float, float, float, float, float]
    off_body_mm: float | None
    off_spine_mm: float | None
    pieces: tuple[Piece, ...]
    piece_count: int
    holes: tuple[Hole, ...]
    gaps: tuple[Gap, ...]
    ends: tuple[End, ...]
    jumps: tuple[Jump, ...]
    jump_count: int

    @property
    def is_complete(self) -> bool:
        """Whether the image's border cuts nothing off."""
        return not any(self.border_mm2)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the labels fit the image, and whether they would fit better elsewhere.

    Attributes:
        organs: solid organs that were compared.
        misfit_hu: mean distance of the solid organs' voxels from their organ's median.
        flips: of the array's axes, such as "x" or "xz", after which the labels fit best.
        flipped_misfit_hu: misfit after those flips.
        shift_mm: along the array's axes, by which the labels would fit best.
        shifted_misfit_hu: misfit after that shift.
    """

    organs: int
    misfit_hu: float
    flips: str
    flipped_misfit_hu: float
    shift_mm: Point
    shifted_misfit_hu: float


@dataclass(frozen=True, slots=True)
class Sketch:
    """The label map at a coarse step.

    Attributes:
        shape: (X, Y, Z) samples.
        first: voxel of the first sample.
        step: voxels between samples along each axis.
        content: the samples as uint16, little-endian, zlib, base64.
    """

    shape: Voxel
    first: Voxel
    step: Voxel
    content: str


@dataclass(frozen=True, slots=True)
class CaseOrgans:
    """What is measured of the organs of a case.

    Attributes:
        shape: (X, Y, Z) voxels.
        spacing_mm: of the voxels.
        affine: (4, 4) voxel -> RAS mm, row by row.
        organs: the organs that occur, by id.
        sketch: the label map at a coarse step.
        fit: of labels and image; None where no solid organ is large enough.
        repeated: share of labelled slices that equal the one before, across each axis of the array.
        repeated_voxel: in the middle of the labels.
    """

    shape: Voxel
    spacing_mm: Point
    affine: tuple[float, ...]
    organs: tuple[OrganMeasures, ...]
    sketch: Sketch
    fit: Fit | None
    repeated: Point
    repeated_voxel: Voxel

    def organ(self, label: int) -> OrganMeasures | None:
        """The measures of an organ; None where it does not occur."""
        return next((organ for organ in self.organs if organ.label == label), None)
