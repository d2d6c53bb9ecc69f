import hashlib
import json
import random
import signal

import nibabel as nib
import numpy as np
import polars as pl
import pytest
import torch
from dynunet_trainer.store import read_bricks
from helpers.training import SHORT, STEPS, results, stores

from contract.records import read_run

CHECKPOINT, BEFORE = ".checkpoint.pt", ".checkpoint-before.pt"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_runs_end_in_the_same_bytes(bench, undisturbed):
    bench.run("train", "twice", *SHORT, **stores(bench))

    assert results(bench, "twice") == undisturbed


def test_another_seed_gives_another_model(bench, undisturbed):
    bench.run("train", "seed-1", *SHORT, "--seed", "1", **stores(bench))

    assert results(bench, "seed-1")["model.pt"] != undisturbed["model.pt"]


@pytest.mark.parametrize("workers", ["0", "1", "4"])
def test_the_number_of_loader_threads_changes_no_bit(bench, undisturbed, workers):
    bench.run("train", f"workers-{workers}", *SHORT, "--workers", workers, **stores(bench))

    weights = [
        torch.load(bench.out(n) / "model.pt", weights_only=True)["weights"]
        for n in ("undisturbed", f"workers-{workers}")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("moment", range(10))
def test_killed_and_resumed_run_ends_in_the_same_bytes(bench, undisturbed, moment):
    name, chance = f"killed-{moment}", random.Random(moment)  # noqa: S311 - moments to kill at
    running = bench.start("train", name, *SHORT, **stores(bench))
    running.send_when(signal.SIGKILL, (bench.out(name) / CHECKPOINT).exists, chance.uniform(0, 0.3))
    assert running.exit_code() == -signal.SIGKILL
    assert not (bench.out(name) / "model.pt").exists()
    done = torch.load(bench.out(name) / CHECKPOINT, weights_only=True)["step"]
    assert 0 < done < STEPS

    bench.run("train", name, *SHORT, **stores(bench))

    assert results(bench, name) == undisturbed
    assert not list(bench.out(name).glob(".*"))


def test_sigterm_keeps_every_step_and_the_next_run_goes_on(bench, undisturbed):
    running = bench.start("train", "stopped", *SHORT, **stores(bench))
    running.send_when(signal.SIGTERM, (bench.out("stopped") / CHECKPOINT).exists, 0.1)
    assert running.exit_code() == 143
    done = torch.load(bench.out("stopped") / CHECKPOINT, weights_only=True)
    assert 0 < done["step"] < STEPS
    assert {int(s["step"]) for s in done["optimizer"]["state"].values()} == {done["step"]}

    bench.run("train", "stopped", *SHORT, **stores(bench))

    assert results(bench, "stopped") == undisturbed
    assert read_run(bench.out("stopped"))["steps_this_run"] == STEPS - done["step"]


def test_checkpoint_of_another_run_is_refused_by_name_and_training_begins_anew(bench, undisturbed):
    running = bench.start("train", "other", *SHORT, "--learning-rate", "0.01", **stores(bench))
    running.send_when(signal.SIGTERM, (bench.out("other") / CHECKPOINT).exists, 0.0)
    assert running.exit_code() == 143

    log = bench.run("train", "other", *SHORT, **stores(bench))

    assert "is of another run (settings" in log
    assert (bench.out("other") / ".checkpoint-other.pt").exists()
    assert "starts from the beginning" in log
    assert results(bench, "other") == undisturbed


def test_a_damaged_checkpoint_is_logged_and_the_one_before_it_is_used(bench, undisturbed):
    running = bench.start("train", "hurt", *SHORT, **stores(bench))
    running.send_when(signal.SIGTERM, (bench.out("hurt") / BEFORE).exists, 0.0)
    assert running.exit_code() == 143
    newest = bench.out("hurt") / CHECKPOINT
    newest.write_bytes(newest.read_bytes()[:1000])

    log = bench.run("train", "hurt", *SHORT, **stores(bench))

    assert f"going on from {BEFORE}, which is older" in log
    assert results(bench, "hurt") == undisturbed


def test_damaged_checkpoint_stops_with_its_name(bench, undisturbed):
    bench.out("damaged").mkdir()
    (bench.out("damaged") / CHECKPOINT).write_bytes(b"PK\x03\x04 cut short")

    log = bench.run("train", "damaged", *SHORT, code=2, **stores(bench))

    assert f"{CHECKPOINT}: must be a whole file of tensors" in log

    torch.save({"config": {}}, bench.out("damaged") / CHECKPOINT)
    log = bench.run("train", "damaged", *SHORT, code=2, **stores(bench))

    assert f"{CHECKPOINT}: must be a checkpoint that this trainer wrote, but is not; remove it" in log


def test_run_killed_after_its_model_was_written_is_not_trained_again(bench, undisturbed):
    bench.run("train", "late", *SHORT, **stores(bench))
    (bench.out("late") / "run.json").unlink()

    log = bench.run("train", "late", *SHORT, **stores(bench))

    assert log.count("epoch 1:") == 1  # of the first run
    assert results(bench, "late") == undisturbed


def test_model_holds_plan_labels_and_provenance_and_only_plain_types(bench, undisturbed):
    model = torch.load(bench.out("undisturbed") / "model.pt", weights_only=True)

    assert model["labels"] == {3: "liver", 7: "spleen"}
    assert model["missing"] == []
    assert model["plan"]["spacing_mm"] == (2.0, 3.0, 4.0)
    assert model["plan"]["patch"] == (16, 16, 8)
    assert model["config"]["settings"]["seed"] == 0
    assert model["environment"]["torch"] == torch.__version__
    assert all(weight.dtype == torch.float32 for weight in model["weights"].values())
    assert not any(name.startswith("skip_layers") for name in model["weights"])


def test_log_has_a_row_an_epoch_and_no_times(bench, undisturbed):
    log = pl.read_parquet(bench.out("undisturbed") / "log.parquet")

    assert log.schema == {
        "epoch": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64, "validation_dice": pl.Float64
    }  # fmt: skip
    assert log["epoch"].to_list() == [1, 2, 3, 4]
    assert log["loss"][3] < log["loss"][0]
    assert log["validation_dice"].null_count() == 0
    assert log["validation_dice"].is_between(0, 1).all()


def test_a_run_that_does_not_converge_is_recorded_as_such_and_predicts_nothing(bench):
    log = bench.run("train", "diverged", *SHORT, "--learning-rate", "1e30", **stores(bench))
    refused = bench.run("predict", "of-diverged", "--cases", "d", code=3, model=bench.out("diverged"))

    assert "did not converge: the loss or the gradient is nan at step" in log
    assert "may help" in log
    identity = json.loads((bench.out("diverged") / "identity.json").read_text())
    assert identity["failure"].startswith("did not converge")
    assert "network did not converge" in refused


def label_version(bench, name, keep):
    """A label version of some training cases; `keep` says what becomes of each label map."""
    folder = bench.folder / name
    folder.mkdir()
    for case, changed in keep.items():
        image = nib.load(bench.labels / f"{case}.nii.gz")
        array = changed(np.asarray(image.dataobj))
        nib.save(nib.Nifti1Image(array, image.affine), folder / f"{case}.nii.gz")
    return folder


def same(labels):
    return labels


def test_a_label_version_that_lacks_training_cases_is_an_error_unless_that_is_wanted(bench):
    version = label_version(bench, "two-of-three", {"a": same, "c": same, "d": same})
    given = {"store": bench.out("store"), "labels": version}

    refused = bench.run("prepare-labels", "labels-2", code=3, **given)
    log = bench.run("prepare-labels", "labels-2", "--allow-missing", **given)
    stores_of_two = {**stores(bench), "labels": bench.out("labels-2")}
    bench.run("train", "two", "--epochs", "1", "--batches-per-epoch", "2", **stores_of_two)

    assert "must hold labels of every training case, but b is not there" in refused
    assert json.loads((bench.out("labels-2") / "missing.json").read_text()) == ["b"]
    assert "labels of 3 of 4 cases; none of b" in log
    assert torch.load(bench.out("two") / "model.pt", weights_only=True)["missing"] == ["b"]


def test_labels_on_another_grid_are_refused_and_not_taken_for_missing(bench):
    version = label_version(bench, "shifted", {"a": same, "b": lambda labels: labels[:-1], "c": same, "d": same})

    log = bench.run("prepare-labels", "labels-bad", code=3, store=bench.out("store"), labels=version)

    assert "b.nii.gz: label and image: grids must agree" in log


def test_training_set_without_foreground_is_refused(bench):
    version = label_version(bench, "empty", dict.fromkeys("abcd", np.zeros_like))
    bench.run("prepare-labels", "labels-empty", store=bench.out("store"), labels=version)

    log = bench.run("train", "nothing", *SHORT, code=2, **stores(bench) | {"labels": bench.out("labels-empty")})

    assert "labels must mark some voxel, but all 3 cases are background" in log


def test_split_that_names_an_unknown_case_is_refused(bench):
    folder = bench.folder / "wrong-split"
    folder.mkdir()
    (folder / "split.json").write_text('{"train": ["a", "bb"], "holdout": []}')

    log = bench.run("prepare", "store-wrong", code=2, split=folder)

    assert "toy has no case 'bb'" in log


def test_store_is_the_same_whether_or_not_its_making_was_killed(bench):
    running = bench.start(
        "prepare", "store-killed", "--patch", "16,16,8", "--filters", "6,12,24", split=bench.folder / "split"
    )
    running.send_when(signal.SIGKILL, lambda: any((bench.out("store-killed") / "images").glob("*.npy")), 0.0)
    running.exit_code()

    log = bench.run(
        "prepare", "store-killed", "--patch", "16,16,8", "--filters", "6,12,24", split=bench.folder / "split"
    )

    for file in ("plan.json", "files.json", "images/a.npy", "images/c.npy", "images/d.npy"):
        assert sha256(bench.out("store-killed") / file) == sha256(bench.out("store") / file)
    assert "4 images, spacing (2.0, 3.0, 4.0) mm" in log


def test_stored_image_and_labels_lie_on_the_same_voxels(bench):
    plan = json.loads((bench.out("store") / "plan.json").read_text())["plan"]
    hu = np.load(bench.out("store") / "images" / "a.npy") / 8
    channels = read_bricks(bench.out("labels") / "a.b2nd", (slice(None),) * 3)

    assert plan["spacing_mm"] == [2.0, 3.0, 4.0]
    assert hu[channels == 1].mean() == pytest.approx(200, abs=3)
    assert hu[channels == 2].mean() == pytest.approx(400, abs=3)
