"""The phantom: organs in their places, exact labels, the same bytes for the same arguments."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, center_of_mass

from contract.datasets import Dataset, open_dataset
from contract.errors import UsageError
from contract.volumes import read_image, read_labels
from coordinator.datasets.anatomy import IDS, LABELS
from coordinator.datasets.phantom import make_phantom

SMALL = (64, 54, 18)
HU = {"spleen": 120, "kidney_right": 170, "kidney_left": 170, "liver": 110, "stomach": 40, "aorta": 150, "pancreas": 90}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = tmp_path_factory.mktemp("data")
    make_phantom(data / "phantom", cases=6, shape=SMALL)
    return open_dataset(data, "phantom")


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_folder_is_a_dataset(dataset: Dataset):
    assert dataset.cases() == [f"phantom_{i:03d}" for i in range(1, 7)]
    assert dataset.labels == LABELS
    assert dataset.description.licence == "CC0-1.0"
    assert dataset.description.source.startswith("procedural phantom, made by coordinator dataset phantom")


def test_every_case_has_every_organ_and_labels_on_the_images_grid(dataset: Dataset):
    for case in dataset.cases():
        image = read_image(dataset.image(case))
        labels = read_labels(dataset.label(case), image, dataset.labels)
        assert image.grid.shape == SMALL
        assert set(np.unique(labels).tolist()) == {0, *LABELS}, case


def test_organs_lie_on_their_side_in_the_world(dataset: Dataset):
    for case in dataset.cases():
        image = read_image(dataset.image(case))
        labels = read_labels(dataset.label(case), image)
        right_mm = {
            organ: float((image.grid.affine @ [*center_of_mass(labels == i), 1])[0]) for organ, i in IDS.items()
        }
        # World x grows to the patient's right.
        assert right_mm["liver"] > 25 and right_mm["kidney_right"] > 25, case
        assert right_mm["spleen"] < -25 and right_mm["kidney_left"] < -25 and right_mm["stomach"] < -10, case


def test_hu_under_each_organ_are_those_of_the_portal_venous_phase(dataset: Dataset):
    for case in dataset.cases():
        image = read_image(dataset.image(case))
        labels = read_labels(dataset.label(case), image)
        for organ, hu in HU.items():
            assert np.median(image.array[labels == IDS[organ]]) == pytest.approx(hu, abs=28), (case, organ)


def test_noise_is_that_of_an_abdominal_scan_and_air_surrounds_the_patient(dataset: Dataset):
    image = read_image(dataset.image("phantom_001"))
    labels = read_labels(dataset.label("phantom_001"), image)

    inner_liver = binary_erosion(labels == IDS["liver"], iterations=2)
    assert 9 < image.array[inner_liver].std() < 20
    assert np.median(image.array[0]) == pytest.approx(-1000, abs=5)
    assert image.array.dtype == np.int16


def test_files_are_stored_in_several_orientations(dataset: Dataset):
    images = [read_image(dataset.image(case)) for case in dataset.cases()]

    assert {"RAS", "LPS", "PIR"} <= {image.stored.orientation for image in images}
    assert len({image.spacing_mm for image in images}) == len(images)
    oblique = [np.count_nonzero(np.abs(image.grid.affine[:3, :3]) > 1e-6) > 3 for image in images]
    assert 0 < sum(oblique) < len(images)
    codes = {(int(image.header["sform_code"]), int(image.header["qform_code"])) for image in images}
    assert codes == {(1, 1), (0, 1)}


def test_one_seed_gives_the_same_bytes_and_fewer_cases_are_the_first_of_more(dataset: Dataset, tmp_path: Path):
    make_phantom(tmp_path / "phantom", cases=2, shape=SMALL)

    few, more = digests(tmp_path / "phantom"), digests(dataset.folder)
    assert {k: v for k, v in few.items() if k.endswith(".gz")}.items() <= more.items()


def test_another_seed_gives_another_patient(dataset: Dataset, tmp_path: Path):
    make_phantom(tmp_path / "phantom", cases=1, seed=1, shape=SMALL)

    other = read_image(tmp_path / "phantom" / "images" / "phantom_001.nii.gz")
    assert not np.array_equal(other.array, read_image(dataset.image("phantom_001")).array)


def test_a_second_call_with_the_same_arguments_changes_nothing(tmp_path: Path):
    folder = tmp_path / "phantom"
    make_phantom(folder, cases=1, shape=(16, 16, 8))
    made = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}

    make_phantom(folder, cases=1, shape=(16, 16, 8))

    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == made
    assert [p.name for p in tmp_path.iterdir()] == ["phantom"]


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path):
    folder = tmp_path / "phantom"
    make_phantom(folder, cases=1, shape=(16, 16, 8))
    before = digests(folder)

    with pytest.raises(UsageError, match="holds something else"):
        make_phantom(folder, cases=1, seed=1, shape=(16, 16, 8))

    assert digests(folder) == before


def test_a_phantom_with_a_file_missing_is_refused(tmp_path: Path):
    folder = tmp_path / "phantom"
    make_phantom(folder, cases=2, shape=(16, 16, 8))
    (folder / "labels" / "phantom_002.nii.gz").unlink()

    with pytest.raises(UsageError, match="must not change after it was made"):
        make_phantom(folder, cases=2, shape=(16, 16, 8))


def test_the_leftovers_of_a_killed_run_are_replaced(tmp_path: Path):
    (tmp_path / ".phantom.part" / "images").mkdir(parents=True)
    (tmp_path / ".phantom.part" / "images" / "old.nii.gz").write_bytes(b"cut sho")
    (tmp_path / "phantom").mkdir()

    make_phantom(tmp_path / "phantom", cases=1, shape=(16, 16, 8))

    assert open_dataset(tmp_path, "phantom").cases() == ["phantom_001"]


@pytest.mark.parametrize(("cases", "shape"), [(0, (16, 16, 8)), (1, (16, 16, 4))])
def test_arguments_out_of_range_are_refused(tmp_path: Path, cases: int, shape: tuple[int, int, int]):
    with pytest.raises(UsageError, match="at least 8 voxels"):
        make_phantom(tmp_path / "phantom", cases=cases, shape=shape)
