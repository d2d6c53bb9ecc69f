"""A copy of a scan is found after it was cropped, rescaled or clipped; another scan of the same patient is not."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.planted import COPIES, PATIENTS, draw_patient, scan

from contract.datasets import open_dataset
from contract.volumes import read_image, write_image, write_labels
from coordinator.datasets.check import check_dataset, find_shared_scans
from coordinator.datasets.phantom import make_phantom
from coordinator.datasets.scanprints import KEPT, find_in_others, match_prints, scan_print

KINDS = tuple(COPIES)


def print_of(patient: int, exposure: int = 0) -> tuple[str, ...]:
    return scan_print(scan(draw_patient(patient), 1000 * patient + exposure))


def test_all_planted_copies_among_500_scans_are_found_and_no_false_one():
    # Each third patient has a copy, in turn of each kind; each third one a second scan, which is no copy.
    prints, planted = {}, set()
    for patient in range(PATIENTS):
        first = scan(draw_patient(patient), 1000 * patient)
        prints[f"{patient:03d}"] = scan_print(first)
        if patient % 3 == 0:
            prints[f"{patient:03d} copy"] = scan_print(COPIES[KINDS[patient // 3 % len(KINDS)]](first))
            planted.add((f"{patient:03d}", f"{patient:03d} copy"))
        if patient % 3 == 1:
            prints[f"{patient:03d} again"] = print_of(patient, exposure=1)

    assert len(planted) == 167
    assert set(match_prints(prints)) == planted


@pytest.mark.long
def test_all_planted_copies_among_500_phantoms_are_found_by_the_check_of_their_dataset(tmp_path: Path):
    make_phantom(tmp_path / "data" / "phantom", cases=500)
    dataset = open_dataset(tmp_path / "data", "phantom")
    planted = []
    for number, case in enumerate(dataset.cases()[::3]):
        copy = COPIES[KINDS[number % len(KINDS)]](read_image(dataset.image(case)).array)
        write_image(dataset.image(f"{case}_copy"), copy, np.diag([1, 1, 1, 1.0]))
        write_labels(
            dataset.label(f"{case}_copy"), np.zeros(copy.shape, np.uint8), read_image(dataset.image(f"{case}_copy"))
        )
        planted.append((case, f"{case}_copy"))

    check = check_dataset(open_dataset(tmp_path / "data", "phantom"))

    assert len(planted) == 167
    assert check.set_aside == {}
    assert check.twins == planted


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_copy_shares_more_keys_than_are_needed(kind: str):
    original = scan(draw_patient(7), 7)

    shared = set(scan_print(original)) & set(scan_print(COPIES[kind](original)))

    # Of 22 slices at least 16 are left, and of the 16 that the print keeps at most 6 are gone.
    assert len(shared) >= KEPT - 6


@pytest.mark.parametrize(
    "change",
    [
        lambda scan: np.rint(scan / 4),
        lambda scan: (scan[..., :-1].astype(float) + scan[..., 1:]) / 2,
        lambda scan: scan[2:, 2:],
        lambda scan: -scan,
    ],
    ids=["fewer grey values", "slices between slices", "cropped along two axes", "negated"],
)
def test_what_a_print_does_not_survive_is_as_its_module_says(change):
    original = scan(draw_patient(8), 8)

    assert not set(scan_print(original)) & set(scan_print(change(original)))


def test_an_image_without_texture_has_no_print_and_is_nobodys_copy():
    blank = scan_print(np.full((30, 20, 10), -1024, np.int16))
    steps = scan_print(np.repeat(np.arange(10, dtype=np.int16), 600).reshape(10, 30, 20))

    assert blank == steps == ()
    assert match_prints({"a": blank, "b": steps}) == []


def test_half_of_a_scan_is_a_copy_and_two_of_its_planes_are_none():
    original = scan(draw_patient(9), 9)
    prints = {f"{planes}": scan_print(original[..., :planes]) for planes in (2, 11)}

    others = find_in_others(prints, {"whole": scan_print(original)})

    assert others == {"11": "whole"}


def test_a_key_that_many_scans_hold_joins_no_two_scans():
    keys = {f"{number:03d}": ("shared", f"{number} a", f"{number} b", f"{number} c") for number in range(300)}

    assert match_prints(keys) == []


def test_a_dataset_of_copies_is_checked_with_its_twins_on_one_side(tmp_path: Path):
    first, second = scan(draw_patient(1), 1), scan(draw_patient(1), 2)
    write(tmp_path / "base", a=first, b=second, c=COPIES["all of it"](first))
    write(tmp_path / "target", x=COPIES["no offset"](second[..., 2:]), y=scan(draw_patient(2), 3))

    base, target = (check_dataset(open_dataset(tmp_path, name)) for name in ("base", "target"))

    assert base.twins == base.kept_together == [("a", "c")]
    assert "cases with the same scan: a, c; a split keeps them on one side" in base.warnings
    assert find_shared_scans(target, base) == {"x": "b"}
    assert find_shared_scans(base, target) == {"b": "x"}


def test_twins_are_still_known_when_the_check_is_read_from_its_cache(tmp_path: Path):
    first = scan(draw_patient(1), 1)
    write(tmp_path / "base", a=first, c=COPIES["all of it"](first))
    dataset, cache = open_dataset(tmp_path, "base"), tmp_path / "check.json"

    once, again = (check_dataset(dataset, cache=cache) for _ in range(2))

    assert again.twins == once.twins == [("a", "c")]


def write(folder: Path, **images: np.ndarray) -> None:
    """A dataset without labels; every file has another gzip level, and spacing that says nothing."""
    (folder / "images").mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\n")
    for level, (case, voxels) in enumerate(images.items()):
        content = nib.Nifti1Image(voxels, np.eye(4)).to_bytes()
        (folder / "images" / f"{case}.nii.gz").write_bytes(gzip.compress(content, compresslevel=9 * (level % 2)))
