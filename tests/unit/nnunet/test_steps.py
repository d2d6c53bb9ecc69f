"""The steps as they are run, in the tool's own environment, on boxes: no leak, the same bytes, what goes wrong."""

import csv
import json
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nnunet_bench import CASES, SHAPE, SHORT, Workbench, outputs, stored, write_toy

pytestmark = pytest.mark.venvs
CHECKPOINT, MODEL = ".checkpoint.pt", "checkpoint_final.pth"
FOLD = ("--step", "fold-0", *SHORT)


def read_json(file: Path):
    return json.loads(file.read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / MODEL, weights_only=True)["network_weights"]


def same_weights(a: Path, b: Path) -> bool:
    return all(torch.equal(tensor, weights(b)[name]) for name, tensor in weights(a).items())


def fold_cases(bench: Workbench, fold: int) -> list[str]:
    return read_json(bench.out("prepared") / "cases.json")["folds"][fold]


@pytest.fixture(scope="session")
def undisturbed(bench: Workbench) -> dict[str, str]:
    bench.run("undisturbed", *FOLD, prepare=bench.out("prepared"))
    return outputs(bench.out("undisturbed"))


# ------------------------------------------------------------------------------------------------------------- prepare


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


# ------------------------------------------------------------------------------------------------------------- no leak


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


# ------------------------------------------------------------------------------------------------------ the same bytes


def test_training_twice_gives_the_same_bytes(bench: Workbench, undisturbed: dict[str, str]):
    bench.run("twice", *FOLD, prepare=bench.out("prepared"))

    assert outputs(bench.out("twice")) == undisturbed
    assert set(undisturbed) == {"fold.json", "log.csv", MODEL, *(f"{case}.nii.gz" for case in fold_cases(bench, 0))}


def test_a_second_run_does_nothing(bench: Workbench, undisturbed: dict[str, str]):
    log = bench.run("undisturbed", *FOLD, prepare=bench.out("prepared"))

    assert log.endswith("undisturbed: already done\n")


def test_processes_that_make_the_batches_change_no_bit_of_the_weights(bench: Workbench, undisturbed: dict[str, str]):
    bench.run("workers", *FOLD, "--augmentation-workers", "2", prepare=bench.out("prepared"))

    assert same_weights(bench.out("workers"), bench.out("undisturbed"))
    assert outputs(bench.out("workers"))["log.csv"] == undisturbed["log.csv"]


def test_another_seed_gives_another_model(bench: Workbench, undisturbed: dict[str, str]):
    bench.run("seed-1", *FOLD, "--seed", "1", prepare=bench.out("prepared"))

    assert not same_weights(bench.out("seed-1"), bench.out("undisturbed"))


@pytest.mark.parametrize("delay_s", [0.0, pytest.param(0.1, marks=pytest.mark.long)])
def test_a_killed_training_that_goes_on_ends_in_the_same_bytes(
    bench: Workbench, undisturbed: dict[str, str], delay_s: float
):
    name = f"killed-{delay_s}"
    running = bench.start(name, *FOLD, prepare=bench.out("prepared"))
    running.send_when(signal.SIGKILL, (bench.out(name) / CHECKPOINT).exists, delay_s)
    assert running.exit_code() == -signal.SIGKILL
    assert not (bench.out(name) / MODEL).exists()
    assert 1 <= len(torch.load(bench.out(name) / CHECKPOINT, weights_only=True)["log"]) < 4

    log = bench.run(name, *FOLD, prepare=bench.out("prepared"))

    assert log.count("epoch 1: ") <= 1  # of the first run
    assert outputs(bench.out(name)) == undisturbed


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.long)])
def test_sigterm_ends_with_143_and_the_next_run_goes_on(bench: Workbench, undisturbed: dict[str, str], workers: str):
    name, options = f"stopped-{workers}", (*FOLD, "--augmentation-workers", workers)
    running = bench.start(name, *options, prepare=bench.out("prepared"))
    running.send_when(signal.SIGTERM, (bench.out(name) / CHECKPOINT).exists, 0.05)
    assert running.exit_code() == 143, running.log.read_text()
    assert "Traceback" not in running.log.read_text()

    log = bench.run(name, *options, prepare=bench.out("prepared"))

    assert log.count("epoch 1: ") <= 1
    assert same_weights(bench.out(name), bench.out("undisturbed"))


def test_a_run_killed_while_it_labels_goes_on_with_the_model_it_has(bench: Workbench, undisturbed: dict[str, str]):
    shutil.copytree(bench.out("undisturbed"), bench.out("late"))
    for file in ("run.json", "fold.json", f"{fold_cases(bench, 0)[-1]}.nii.gz"):
        (bench.out("late") / file).unlink()

    log = bench.run("late", *FOLD, prepare=bench.out("prepared"))

    assert "epoch 1: " not in log
    assert outputs(bench.out("late")) == undisturbed


def test_a_label_map_that_was_changed_after_the_run_is_made_again(bench: Workbench, undisturbed: dict[str, str]):
    shutil.copytree(bench.out("undisturbed"), bench.out("tampered"))
    first = fold_cases(bench, 0)[0]
    shutil.copy(bench.data / "toy" / "labels" / f"{first}.nii.gz", bench.out("tampered"))

    bench.run("tampered", *FOLD, prepare=bench.out("prepared"))

    assert outputs(bench.out("tampered")) == undisturbed


def test_a_checkpoint_of_another_run_is_named_and_training_begins_anew(bench: Workbench, undisturbed: dict[str, str]):
    running = bench.start("other", *FOLD, "--learning-rate", "0.02", prepare=bench.out("prepared"))
    running.send_when(signal.SIGKILL, (bench.out("other") / CHECKPOINT).exists, 0.0)
    running.exit_code()

    log = bench.run("other", *FOLD, prepare=bench.out("prepared"))

    assert f"{CHECKPOINT}: is of another run (options differ); starting from the beginning" in log
    assert outputs(bench.out("other")) == undisturbed


# --------------------------------------------------------------------------------------------------------- orientation


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


# ----------------------------------------------------------------------------------------------------- what goes wrong


def test_a_case_that_cannot_be_read_is_set_aside_and_reported_in_the_end(bench: Workbench):
    write_toy(bench.data / "broken", (*CASES, "g", "h"))
    label = bench.data / "broken" / "labels" / "c.nii.gz"
    label.write_bytes(label.read_bytes()[:-20])
    (bench.data / "broken" / "images" / "f.nii.gz").write_bytes(b"")
    nib.save(stored(np.zeros(SHAPE, np.int16), "RAS"), bench.data / "broken" / "images" / "g.nii.gz")

    log = bench.run("whole", "--epochs", "1", "--iterations-per-epoch", "1", *SHORT[4:], code=3, dataset="broken")

    assert "5 of 8 cases done, 3 failed" in log
    lines = (bench.out("whole", "broken") / "status.jsonl").read_text().splitlines()
    status = {record["case"]: record for record in map(json.loads, lines)}
    assert [case for case in status if status[case]["state"] == "failed"] == ["c", "f", "g"]
    assert "labels/c.nii.gz: gzip stream is truncated" in status["c"]["reason"]
    assert "images/f.nii.gz: file must not be empty" in status["f"]["reason"]
    assert "images/g.nii.gz: image must show something" in status["g"]["reason"]
    assert list(read_json(bench.out(".whole", "broken") / "prepare" / "run.json")["set_aside"]) == ["c", "f", "g"]


def test_fewer_than_five_cases_are_refused(bench: Workbench):
    log = bench.run("few", *SHORT, "--cases", "a,b,c,d", code=2)

    assert "must have at least 5 readable cases, but there are 4" in log


def test_a_part_of_the_cases_is_refused(bench: Workbench):
    log = bench.run("shard", *SHORT, "--shard", "1/2", code=2)

    assert "--shard must not be given: a cross-validation needs all cases" in log


def test_an_organ_that_no_training_case_has_is_told_and_its_cases_do_not_get_it(bench: Workbench):
    write_toy(bench.data / "rare")
    for case in CASES[1:]:
        file = bench.data / "rare" / "labels" / f"{case}.nii.gz"
        image = nib.load(file)
        labels = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image(np.where(labels == 7, 0, labels).astype(np.uint8), image.affine), file)
    log = bench.run("prepared", "--step", "prepare", *SHORT, dataset="rare")
    folds = read_json(bench.out("prepared", "rare") / "cases.json")["folds"]
    fold = next(k for k, held in enumerate(folds) if "a" in held)
    assert f"fold-{fold}: no training case has spleen; its cases will not get it" in log

    log = bench.run(
        f"fold-{fold}", "--step", f"fold-{fold}", *SHORT, dataset="rare", prepare=bench.out("prepared", "rare")
    )

    assert "no training case has spleen" in log
    result = bench.out(f"fold-{fold}", "rare")
    assert read_json(result / "run.json")["organs_without_training_cases"] == ["spleen"]
    assert 7 not in np.asarray(nib.load(result / "a.nii.gz").dataobj)


def test_more_stages_than_the_patch_allows_are_refused(bench: Workbench):
    log = bench.run("deep", "--step", "prepare", "--patch", "16,16,16", "--features", "4,8,16,32,64", code=2)

    assert "--features must have at most 3 stages for a patch of [16, 16, 16], but has 5" in log


def test_names_that_nnunet_cannot_tell_apart_are_refused(bench: Workbench):
    write_toy(bench.data / "names", ("a", "a_seg", "b", "c", "d"))

    log = bench.run("names", "--step", "prepare", *SHORT, code=2, dataset="names")

    assert "cases must not be named like another one with `_seg` added" in log
    assert "but a_seg is" in log


def test_a_fold_without_prepare_is_refused(bench: Workbench):
    log = bench.run("alone", *FOLD, code=2)

    assert "must hold the results of an earlier step, but does not exist" in log


def test_a_residual_encoder_is_trained_without_timm(bench: Workbench):
    tiny = ("--planner", "nnUNetPlannerResEncM", "--epochs", "1", *SHORT[2:])
    bench.run("residual", "--step", "prepare", *tiny)

    bench.run("residual-0", "--step", "fold-0", *tiny, prepare=bench.out("residual"))

    plan = read_json(bench.out("residual") / "Dataset001_toy" / "nnUNetPlans.json")["configurations"]["3d_fullres"]
    assert plan["architecture"]["network_class_name"].endswith("ResidualEncoderUNet")
    assert plan["architecture"]["arch_kwargs"]["n_blocks_per_stage"] == [1, 3, 4]
    assert len(list(bench.out("residual-0").glob("*.nii.gz"))) == len(fold_cases(bench, 0))


def test_a_slice_network_of_two_stages_is_trained_without_deep_supervision(bench: Workbench):
    tiny = ("--variant", "2d", "--patch", "16,16,1", "--features", "4,8", "--epochs", "1", "--iterations-per-epoch", "1",
            "--validation-iterations", "1")  # fmt: skip
    bench.run("flat", "--step", "prepare", *tiny)

    bench.run("flat-0", "--step", "fold-0", *tiny, prepare=bench.out("flat"))

    with (bench.out("flat-0") / "log.csv").open() as file:
        assert np.isfinite([float(line["train_loss"]) for line in csv.DictReader(file)]).all()
    model = torch.load(bench.out("flat-0") / MODEL, weights_only=True)
    assert model["inference_allowed_mirroring_axes"] == (0, 1)
    assert model["network_weights"]["encoder.stages.0.0.convs.0.conv.weight"].shape == (4, 1, 3, 3)
