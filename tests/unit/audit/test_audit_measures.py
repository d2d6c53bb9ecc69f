"""What the audit measures of an organ, on blocks whose values can be told by hand."""

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.grids import Grid
from contract.volumes import Volume
from coordinator.datasets.audit.anatomy.measuring import find_through_plane, measure_organs, read_sketch
from coordinator.datasets.audit.anatomy.organmeasures import CaseOrgans, OrganMeasures

SPACING = (1.0, 2.0, 5.0)
VOXEL_ML = 0.01
ORGANS = {1: "pancreas", 2: "kidney_left", 3: "spleen"}


def volume(hu: NDArray[np.generic], affine: NDArray[np.float64]) -> Volume:
    x, y, z = hu.shape
    grid = Grid((x, y, z), affine)
    return Volume(hu, grid, grid, nib.Nifti1Header(), "", ())


def measure(labels: NDArray[np.integer], hu: NDArray[np.generic] | None = None) -> CaseOrgans:
    image = np.full(labels.shape, 40, np.int16) if hu is None else hu
    return measure_organs(labels, volume(image, np.diag([*SPACING, 1.0])), ORGANS)


def organ(labels: NDArray[np.integer], hu: NDArray[np.generic] | None = None) -> OrganMeasures:
    measured = measure(labels, hu).organ(1)
    assert measured is not None
    return measured


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    """A block of 20 x 10 x 8 voxels, 16 ml, whose low corner is (10, 15, 6)."""
    labels = np.zeros((40, 30, 24), np.uint8)
    labels[10:30, 15:25, 6:14] = 1
    return labels


def test_volume_place_and_hu(labels: NDArray[np.uint8]):
    hu = np.full(labels.shape, -700, np.int16)
    hu[10:30, 15:25, 6:12] = 80

    block = organ(labels, hu)

    assert (block.voxels, block.volume_ml) == (1600, pytest.approx(16))
    assert block.centroid_mm == pytest.approx((19.5, 2 * 19.5, 5 * 9.5))
    assert (block.low_mm, block.high_mm) == (pytest.approx((10, 30, 30)), pytest.approx((29, 48, 65)))
    assert (block.median_hu, block.air_share) == (80, pytest.approx(0.25))
    assert hu[block.air_voxel] == -700


def test_the_border_that_cuts_an_organ(labels: NDArray[np.uint8]):
    labels[0:10, 15:17, 6:9] = 1
    labels[12:14, 20:21, 14:24] = 1

    block = organ(labels)

    assert block.border_mm2 == (2 * 2 * 3 * 5, 0, 0, 0, 0, 2 * 2)
    assert not block.is_complete


def test_pieces_are_counted_and_measured(labels: NDArray[np.uint8]):
    labels[32:35, 4:6, 6:8] = 1
    labels[2, 2, 2] = 1

    block = organ(labels)

    assert block.piece_count == 3
    assert [piece.volume_ml for piece in block.pieces] == pytest.approx([16, 0.12, 0.01])
    assert block.pieces[2].voxel == (2, 2, 2)


def test_voxels_that_share_a_corner_are_one_piece(labels: NDArray[np.uint8]):
    labels[30, 25, 14] = 1

    assert organ(labels).piece_count == 1


def test_pieces_that_may_be_joined_outside_the_image_are_one(labels: NDArray[np.uint8]):
    labels[10:30, 15:25, 14:24] = 1
    labels[2:6, 4:8, 20:24] = 1

    assert organ(labels).piece_count == 1


def test_holes_of_background_and_of_another_organ(labels: NDArray[np.uint8]):
    labels[12:15, 17:19, 8:10] = 0
    labels[20:22, 17:19, 8:10] = 3
    labels[25, 15, 8] = 0  # open to the outside

    block = organ(labels)

    assert [(hole.label, hole.voxels, hole.volume_ml) for hole in block.holes] == [
        (0, 12, pytest.approx(0.12)),
        (3, 8, pytest.approx(0.08)),
    ]
    assert labels[block.holes[0].voxel] == 0
    assert labels[block.holes[1].voxel] == 3


def test_a_gap_and_the_two_parts_beside_it(labels: NDArray[np.uint8]):
    labels[:, :, 11:13] = 0

    (gap,) = organ(labels).gaps

    assert (gap.axis, gap.slices, gap.length_mm) == (2, 2, 10)
    assert (gap.section_share, gap.volume_share, gap.overlap) == (1, pytest.approx(1 / 6), 1)
    assert gap.voxel[2] in (11, 12)


def test_a_gap_beside_a_stray_speck_is_not_kept(labels: NDArray[np.uint8]):
    labels[20, 20, 20] = 1

    assert organ(labels).gaps == ()


def test_flat_ends_and_what_lies_behind_them(labels: NDArray[np.uint8]):
    hu = np.full(labels.shape, -100, np.int16)
    hu[10:30, 15:25, 6:19] = 80

    ends = {(end.axis, end.direction): end for end in organ(labels, hu).ends}

    top, bottom = ends[2, 1], ends[2, -1]
    assert (top.area_mm2, top.share_of_deeper, top.share_of_largest) == (20 * 10 * 2, 1, 1)
    assert (top.beyond_slices, top.alike_beyond) == (10, 1)
    assert (bottom.beyond_slices, bottom.alike_beyond) == (6, 0)
    assert top.voxel[2] == 13
    assert bottom.voxel[2] == 6


def test_a_slice_out_of_line_and_a_step_are_jumps(labels: NDArray[np.uint8]):
    labels[:, :, 9] = np.roll(labels[:, :, 9], 10, axis=0)
    sound = np.zeros_like(labels)
    sound[10:30, 15:25, 6:14] = 1

    block = organ(labels)

    assert organ(sound).jump_count == 0
    assert (block.jump_count, block.jumps[0].voxel[2]) == (1, 9)
    assert (block.jumps[0].overlap, block.jumps[0].usual_overlap) == (0.5, 1)


def test_slices_that_repeat_the_one_before():
    random = np.random.default_rng(0)
    fine = (random.random((30, 24, 12)) < 0.5).astype(np.uint8)

    drawn, doubled = measure(fine), measure(fine.repeat(2, axis=1))

    assert drawn.repeated == (0, 0, 0)
    assert doubled.repeated == pytest.approx((0, 24 / 47, 0))


def test_the_slices_that_were_drawn_are_the_thick_ones():
    assert find_through_plane((0.8, 0.8, 5)) == 2
    assert find_through_plane((4.1, 4, 4)) == 2
    assert find_through_plane((0.9, 5, 0.9)) == 1


@pytest.mark.parametrize("shape", [(40, 30, 1), (40, 30, 2), (3, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_smallest_cases_can_be_measured(shape: tuple[int, int, int], dtype: type[np.integer]):
    labels = np.ones(shape, dtype)

    measured = measure(labels)

    assert [block.voxels for block in measured.organs] == [labels.size]
    assert (read_sketch(measured.sketch) == 1).all()


def test_the_shift_that_labels_need_is_measured():
    labels = np.zeros((60, 60, 24), np.uint8)
    labels[12:30, 12:24, 4:10], labels[34:48, 30:42, 8:16], labels[14:26, 36:46, 10:18] = 1, 2, 3
    hu = np.where(labels > 0, 90, -100).astype(np.int16)
    moved = np.roll(labels, (10, -5), axis=(0, 1))

    fit, moved_fit = measure(labels, hu).fit, measure(moved, hu).fit

    assert fit is not None
    assert moved_fit is not None
    assert (fit.organs, fit.misfit_hu, fit.shift_mm) == (3, 0, (0, 0, 0))
    assert moved_fit.misfit_hu > 50
    assert moved_fit.shift_mm == pytest.approx((-10, 10, 0), abs=2)
