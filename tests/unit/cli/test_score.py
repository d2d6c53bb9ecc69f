"""`score` and `remap` as commands: every bad file is named, the others are done, and what is missing is said."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest

AFFINE = np.diag([2.0, 2, 3, 1])


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A dataset with labels of three cases, and predictions that are shifted by one voxel."""
    random = np.random.default_rng(0)
    for case in ("a", "b", "c"):
        labels = np.kron(random.choice([0, 1, 2], (3, 4, 2)), np.ones((4, 3, 3))).astype(np.uint8)
        for folder, label_map in (("ds/labels", labels), ("prediction", np.roll(labels, 1, axis=1))):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(label_map, AFFINE), tmp_path / folder / f"{case}.nii.gz")
    (tmp_path / "ds/dataset.yaml").write_text("name: ds\nlabels: {1: liver, 2: spleen}\n")
    return tmp_path


def score(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    code = "import sys; from coordinator.cli.main import main; main()"
    command = [sys.executable, "-c", code, "score", "ds/labels", "prediction", "--dataset", "ds", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_all_unreadable_predictions_are_named_and_the_others_are_scored(folders: Path):
    (folders / "prediction/a.nii.gz").write_bytes(b"no gzip")
    (folders / "prediction/c.nii.gz").write_bytes(b"")

    done = score(folders, "--out", "scores.csv")

    assert done.returncode == 3
    assert "prediction/a.nii.gz: file must be gzip" in done.stderr
    assert "prediction/c.nii.gz: file must not be empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert pl.read_csv(folders / "scores.csv")["case"].unique().to_list() == ["b"]


def test_what_dataset_yaml_excludes_is_not_scored(folders: Path):
    (folders / "prediction/a.nii.gz").write_bytes(b"no gzip")
    (folders / "ds/dataset.yaml").write_text("name: ds\nlabels: {1: liver, 2: spleen}\nexclude: {a: broken}\n")

    done = score(folders)

    assert done.returncode == 0
    assert "excluded by ds/dataset.yaml: a" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 0, "warning: 2 of 3 references have no prediction: a, c; they are in no mean"),
        (("--missing", "fail"), 3, "error: 2 of 3 references have no prediction: a, c"),
        (("--missing", "zero"), 0, "warning: 2 of 3 references have no prediction: a, c; each was scored as an empty"),
    ],
)
def test_references_without_a_prediction_are_counted(options: tuple[str, ...], code: int, said: str, folders: Path):
    for case in "ac":
        (folders / f"prediction/{case}.nii.gz").unlink()

    done = score(folders, "--out", "scores.csv", *options)

    assert done.returncode == code
    assert said in done.stderr
    frame = pl.read_csv(folders / "scores.csv")
    cases = ["a", "b", "c"] if "zero" in options else ["b"]
    assert frame["case"].unique().sort().to_list() == cases
    assert frame.filter(pl.col("case") != "b")["dice"].sum() == 0
