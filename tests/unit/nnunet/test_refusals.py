"""Input that cannot be used is refused or set aside with its reason; networks at the edge of what can be trained."""

import csv
import json
import pickle
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.pickles import RunsCode
from nnunet_bench import CASES, FOLD, MODEL, SHAPE, SHORT, Workbench, fold_cases, read_json, stored, write_toy

pytestmark = pytest.mark.venvs


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

    assert "must have at least 5 readable cases, but there are 4 to train on" in log


def test_folds_over_training_cases_need_a_list_of_held_out_ones(bench: Workbench):
    log = bench.run("no-split", *SHORT, "--folds-over", "training", code=2)

    assert "/split/holdout.txt: must name the held-out cases for --folds-over training, but: No such file" in log
    assert "mount a folder with it as /in/split, or leave the option out" in log

    wrong = bench.folder / "wrong-split"
    wrong.mkdir()
    (wrong / "holdout.txt").write_text("a\nnobody\n")
    log = bench.run("wrong-split", *SHORT, "--folds-over", "training", code=2, split=wrong)

    assert "holdout.txt: must name held-out cases of toy, but names nobody; correct the file" in log


def test_a_part_of_the_cases_is_refused(bench: Workbench):
    log = bench.run("shard", *SHORT, "--shard", "1/2", code=2)

    assert "--shard must not be given: a cross-validation needs all cases" in log


def test_an_organ_that_no_training_case_has_is_logged_and_its_cases_do_not_get_it(bench: Workbench):
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


@pytest.mark.parametrize("harm", ["program", "cut", "missing", "array"])
def test_a_prepared_case_that_is_not_plain_data_ends_the_fold_before_it_trains(
    bench: Workbench, tmp_path: Path, harm: str
):
    prepared = shutil.copytree(bench.out("prepared"), tmp_path / "prepared")
    (pickled,) = prepared.glob("Dataset001_toy/*/c.pkl")
    match harm:
        case "program":
            pickled.write_bytes(pickle.dumps({"class_locations": RunsCode(tmp_path / "made")}))
        case "cut":
            pickled.write_bytes(pickled.read_bytes()[:-9])
        case "missing":
            pickled.unlink()
        case "array":
            pickled = pickled.with_suffix(".b2nd")
            pickled.write_bytes(pickled.read_bytes()[:70])

    log = bench.run(f"evil-{harm}", *FOLD, "--overwrite", code=2, prepare=prepared)

    assert f"error: {pickled}: must be a whole " in log
    assert "; run the step prepare again\n" in log and "Traceback" not in log
    assert "epoch 1" not in log
    assert not (tmp_path / "made").exists()


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
