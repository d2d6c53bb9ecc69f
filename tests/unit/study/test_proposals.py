"""What `coordinator init` proposes for a dataset that is there, and that the file which it prints is a sound study."""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.inprocess import call_coordinator

from contract.datasets import open_dataset
from coordinator.datasets.known import description_file
from coordinator.study.file import load_study
from coordinator.study.proposals import propose
from coordinator.study.template import study_template
from coordinator.tools.finding import find_tools

ABDOMEN = {1: "liver", 2: "spleen", 3: "pancreas"}


def make_dataset(data: Path, name: str, cases: int, labels: Mapping[int, str] | None, slice_mm: float = 1.0) -> None:
    """A dataset folder of files that nobody reads beyond their headers."""
    (data / name / "images").mkdir(parents=True)
    if labels is None:
        (data / name / "dataset.yaml").write_text(description_file(name).read_text())
    else:
        (data / name / "dataset.yaml").write_text(f"name: {name}\nlabels: {labels}\n".replace("'", ""))
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.diag([0.8, 0.8, slice_mm, 1]))
    nib.save(image, data / name / "images" / "case_000.nii.gz")
    for i in range(1, cases):
        (data / name / "images" / f"case_{i:03d}.nii.gz").hardlink_to(data / name / "images" / "case_000.nii.gz")


def printed(data: Path, *names: str) -> str:
    text = study_template(
        names, str(data), propose([open_dataset(data, name) for name in names], find_tools().values())
    )
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("data:"))
    (data / "study.yaml").write_text(text)
    load_study(data / "study.yaml")
    return text


def entries(text: str) -> list[str]:
    """The generators that are proposed, not only named in a comment."""
    block = text.split("generators:\n")[1].split("\n\n")[0]
    return [line.split("- ")[1].split()[0] for line in block.splitlines() if line.strip().startswith("- ")]


def test_generators_with_a_label_mapping_for_the_dataset_are_proposed_with_what_they_lack(tmp_path: Path):
    make_dataset(tmp_path, "word", 150, None)

    text = printed(tmp_path, "word")

    assert entries(text)[:4] == ["medsam-lite", "cads", "stunet", "totalseg"]
    assert "- totalseg                      # gives 15 of the 16 organs, but no rectum\n" in text


def test_a_dataset_whose_organs_have_the_generators_names_needs_no_mapping(tmp_path: Path):
    make_dataset(tmp_path, "mine", 100, ABDOMEN)

    assert "- totalseg                      # gives 3 of the 3 organs\n" in printed(tmp_path, "mine")


def test_a_generator_that_lacks_a_mapping_for_one_of_the_datasets_is_only_a_comment(tmp_path: Path):
    make_dataset(tmp_path, "word", 150, None)
    make_dataset(tmp_path, "mine", 100, ABDOMEN | {4: "left kidney cyst"})

    text = printed(tmp_path, "word", "mine")

    assert entries(text)[0] == "medsam-lite"
    assert "totalseg" not in entries(text)
    assert "# - totalseg                    # no label mapping for mine yet; with this line, `coordinator plan`" in text


@pytest.mark.parametrize(("cases", "folds"), [(4, False), (5, True), (40, True), (57, True), (58, False), (200, False)])
def test_folds_are_proposed_where_one_split_would_test_on_few_cases(cases: int, folds: bool, tmp_path: Path):
    make_dataset(tmp_path, "mine", cases, ABDOMEN)

    text = printed(tmp_path, "mine")

    assert ("\n  folds: 5 " in text, "\n  holdout: 0.2 " in text) == (folds, not folds)
    if folds:
        assert f"mine has {cases} cases: one split would test on" in text


def test_the_smallest_dataset_decides(tmp_path: Path):
    make_dataset(tmp_path, "big", 200, ABDOMEN)
    make_dataset(tmp_path, "mine", 20, ABDOMEN)

    assert "mine has 20 cases: one split would test on 4, folds test on all" in printed(tmp_path, "big", "mine")


def test_thick_slices_get_a_second_tolerance_of_one_slice(tmp_path: Path):
    make_dataset(tmp_path, "thin", 100, ABDOMEN)
    make_dataset(tmp_path, "thick", 100, ABDOMEN, slice_mm=4.5)

    assert "also_mm" not in printed(tmp_path, "thin")
    assert "also_mm: [5]" in (text := printed(tmp_path, "thick"))
    assert "of thick 0.8 x 0.8 x 4.5 mm" in text


def test_flare22_has_its_own_convention(tmp_path: Path):
    make_dataset(tmp_path, "flare22", 50, None, slice_mm=2.5)

    text = printed(tmp_path, "flare22")

    assert "\n  empty: flare22 " in text
    assert "\n  tolerance_mm" not in text
    assert "the challenge has one for each organ, 2 to 7 mm" in text


def test_init_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path / "data", "mine", 20, ABDOMEN)

    assert "mine has 20 cases" in call_coordinator(capfd, "init", "mine").out
    assert "holdout: 0.2" in call_coordinator(capfd, "init", "elsewhere").out
