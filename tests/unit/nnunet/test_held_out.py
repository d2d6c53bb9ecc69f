"""`--folds-over training`: labels and images of the cases that a study holds out change nothing but their own labels."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nnunet_bench import SHORT, Workbench, outputs, read_json, write_toy

pytestmark = pytest.mark.venvs

CASES = ("a", "b", "c", "d", "e", "f", "g", "h")
HELD_OUT = ("b", "f")
APART = (*HELD_OUT, "h")
"""Cases that nothing may be learned from: h is on neither side of the split, and may be the same scan as b."""
QUICK = ("--epochs", "1", "--iterations-per-epoch", "2", *SHORT[4:], "--folds-over", "training")


@pytest.fixture(scope="module")
def split(bench: Workbench) -> Path:
    folder = bench.folder / "split"
    folder.mkdir()
    (folder / "holdout.txt").write_text("".join(f"{case}\n" for case in HELD_OUT))
    (folder / "train.txt").write_text("".join(f"{case}\n" for case in CASES if case not in APART))
    return folder


@pytest.fixture(scope="module")
def clean(bench: Workbench, split: Path) -> Path:
    """The label maps of all cases; networks were trained on the cases that are not held out."""
    write_toy(bench.data / "study", CASES)
    bench.run("clean", *QUICK, dataset="study", split=split)
    return bench.out("clean", "study")


def test_every_case_is_labelled_and_no_network_was_trained_on_a_held_out_one(bench: Workbench, clean: Path):
    folds = [read_json(bench.out(".clean", "study") / f"fold-{fold}" / "fold.json") for fold in range(5)]
    provenance = read_json(clean / "run.json")

    assert sorted(file.name for file in clean.glob("*.nii.gz")) == [f"{case}.nii.gz" for case in CASES]
    for fold in folds:
        assert fold["trained_on"]
        assert not {*fold["trained_on"]} & {*APART, *fold["labelled"]}
    assert provenance["folds_over"] == "training"
    assert provenance["held_out_labelled_by"] == {"b": "fold-0", "f": "fold-1", "h": "fold-2"}
    assert "b" in folds[0]["labelled"] and "f" in folds[1]["labelled"]


def test_nnunet_is_given_the_training_cases_alone(bench: Workbench, clean: Path):
    folder = bench.out(".clean", "study") / "prepare" / "Dataset001_study"
    kept = [case for case in CASES if case not in APART]

    assert sorted(read_json(folder / "dataset.json")["dataset"]) == kept
    assert sorted(file.stem for file in folder.rglob("*.pkl")) == kept
    assert len(read_json(folder / "dataset_fingerprint.json")["spacings"]) == len(kept)


def test_other_held_out_cases_change_no_network_and_no_label_of_a_training_case(
    bench: Workbench, clean: Path, split: Path
):
    """Folds, plan, normalisation and weights stay the same bytes where held-out images and labels are quite others."""
    data = bench.data / "other"
    shutil.copytree(bench.data / "study", data)
    (data / "dataset.yaml").write_text((data / "dataset.yaml").read_text().replace("name: study", "name: other"))
    for case in APART:
        image = nib.load(data / "images" / f"{case}.nii.gz")
        louder = np.asarray(image.dataobj)[:, ::-1] + 700
        nib.save(nib.Nifti1Image(louder.astype(np.int16), image.affine @ np.diag([3, 3, 3, 1])), image.get_filename())
        labels = np.full(louder.shape, 7, np.uint8)
        nib.save(nib.Nifti1Image(labels, image.affine @ np.diag([3, 3, 3, 1])), data / "labels" / f"{case}.nii.gz")

    bench.run("clean", *QUICK, dataset="other", split=split)

    before, after = bench.out(".clean", "study") / "prepare", bench.out(".clean", "other") / "prepare"
    assert read_json(after / "cases.json")["folds"] == read_json(before / "cases.json")["folds"]
    fingerprints = [next(folder.rglob("dataset_fingerprint.json")).read_bytes() for folder in (before, after)]
    assert fingerprints[0] == fingerprints[1]
    old, new = outputs(clean), outputs(bench.out("clean", "other"))
    kept = [f"{case}.nii.gz" for case in CASES if case not in APART]
    assert [new[name] for name in kept] == [old[name] for name in kept]
    assert new["b.nii.gz"] != old["b.nii.gz"]
