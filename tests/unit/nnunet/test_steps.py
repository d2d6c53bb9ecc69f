"""The steps as they are run, in the tool's own environment, on boxes: plan, no leak, orientation."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nnunet_bench import CASES, FOLD, SHORT, Workbench, fold_cases, outputs, read_json, same_weights, write_toy

pytestmark = pytest.mark.venvs


def test_preparing_twice_gives_the_same_bytes(bench: Workbench):
    bench.run("again", "--step", "prepare", *SHORT)

    assert outputs(bench.out("again")) == outputs(bench.out("prepared"))


def test_plan_has_consecutive_ids_the_patch_and_the_features_that_were_asked_for(bench: Workbench):
    folder = bench.out("prepared") / "Dataset001_toy"
    plan = read_json(folder / "nnUNetPlans.json")["configurations"]["3d_fullres"]

    assert read_json(folder / "dataset.json")["labels"] == {"background": 0, "3 liver": 1, "7 spleen": 2}
    assert plan["patch_size"] == [16, 16, 16]
    assert plan["spacing"] == [4.0, 3.0, 2.0]
    assert plan["architecture"]["arch_kwargs"]["features_per_stage"] == [4, 8, 12]
    assert plan["architecture"]["arch_kwargs"]["n_stages"] == 3


def test_results_of_prepare_name_no_place_of_this_machine(bench: Workbench):
    for file in bench.out("prepared").rglob("*.json"):
        if file.name != "run.json":
            assert str(bench.folder) not in file.read_text(), file


@pytest.fixture(scope="session")
def whole(bench: Workbench) -> Path:
    """All steps in one run; the folder of its label maps."""
    bench.run("whole", *SHORT)
    return bench.out("whole")


def test_no_model_was_trained_on_a_case_that_it_labelled_and_every_case_is_labelled_once(bench: Workbench, whole: Path):
    folds = [bench.out(".whole") / f"fold-{fold}" for fold in range(5)]
    labelled = [sorted(file.name.removesuffix(".nii.gz") for file in fold.glob("*.nii.gz")) for fold in folds]
    trained_on = [read_json(fold / "fold.json")["trained_on"] for fold in folds]

    assert sorted(case for cases in labelled for case in cases) == list(CASES)
    for cases, seen in zip(labelled, trained_on, strict=True):
        assert cases
        assert not set(cases) & set(seen)
        assert set(cases) | set(seen) == set(CASES)
        assert sum(seen.values()) == 4 * 3 * 2  # epochs x batches x patches of a batch


def test_label_maps_are_those_of_the_folds_in_the_datasets_ids(bench: Workbench, whole: Path):
    maps = {file.name: np.asarray(nib.load(file).dataobj) for file in sorted(whole.glob("*.nii.gz"))}
    of_folds = {file.name: file.read_bytes() for file in bench.out(".whole").glob("fold-*/*.nii.gz")}

    assert sorted(maps) == [f"{case}.nii.gz" for case in CASES]
    assert all((whole / name).read_bytes() == of_folds[name] for name in maps)
    found = set(np.unique(np.concatenate([array.ravel() for array in maps.values()])).tolist())
    assert found <= {0, 3, 7} and found & {3, 7}


def test_a_fold_by_itself_gives_what_it_gives_in_a_whole_run(
    bench: Workbench, whole: Path, undisturbed: dict[str, str]
):
    assert outputs(bench.out(".whole") / "fold-0") == undisturbed


def copy_with_another_case(bench: Workbench, name: str, case: str) -> Path:
    """The prepared dataset with the preprocessed voxels and labels of one case replaced by those of its mirror image."""
    folder = bench.out(name)
    shutil.copytree(bench.out("prepared"), folder)
    script = bench.folder / "mirror.py"
    script.write_text(
        "import sys, pathlib, blosc2\n"
        "for end in ('.b2nd', '_seg.b2nd'):\n"
        "    file = sys.argv[1] + end\n"
        "    array = blosc2.open(file)[:][:, ::-1, ::-1, ::-1].copy()\n"
        "    pathlib.Path(file).unlink()\n"
        "    blosc2.asarray(array, urlpath=file)\n"
    )
    target = folder / "Dataset001_toy" / "nnUNetPlans_3d_fullres" / case
    running = bench.program([str(script), str(target)], bench.folder / "mirror.log")
    assert running.exit_code() == 0, running.log.read_text()
    return folder


def test_weights_depend_on_training_cases_and_not_on_held_out_ones(bench: Workbench, undisturbed: dict[str, str]):
    held_out, trained_on = fold_cases(bench, 0)[0], fold_cases(bench, 1)[0]
    other_held_out = copy_with_another_case(bench, "other-held-out", held_out)
    other_training = copy_with_another_case(bench, "other-training", trained_on)

    bench.run("with-other-held-out", *FOLD, prepare=other_held_out)
    bench.run("with-other-training", *FOLD, prepare=other_training)

    assert same_weights(bench.out("with-other-held-out"), bench.out("undisturbed"))
    assert outputs(bench.out("with-other-held-out"))["log.csv"] != undisturbed["log.csv"]  # it was looked at
    assert not same_weights(bench.out("with-other-training"), bench.out("undisturbed"))


def test_labels_lie_in_the_same_place_however_files_are_stored(bench: Workbench, undisturbed: dict[str, str]):
    others = [case for case in CASES if case not in fold_cases(bench, 0)]
    first, second = fold_cases(bench, 0)
    angles = {first: ("LPS", 0.3), second: ("LAS", 0.0)}
    write_toy(bench.data / "turned", storage={**angles, others[0]: ("PIR", 0.2), others[1]: ("RAS", 0.1)})
    bench.run("prepared", "--step", "prepare", *SHORT, dataset="turned")

    bench.run("turned-0", *FOLD, dataset="turned", prepare=bench.out("prepared", "turned"))

    for case in (first, second):
        turned = nib.load(bench.out("turned-0", "turned") / f"{case}.nii.gz")
        upright = np.asarray(nib.load(bench.out("undisturbed") / f"{case}.nii.gz").dataobj)
        assert "".join(nib.aff2axcodes(turned.affine)) == angles[case][0]
        assert upright.any()
        np.testing.assert_array_equal(np.asarray(nib.as_closest_canonical(turned).dataobj), upright)
