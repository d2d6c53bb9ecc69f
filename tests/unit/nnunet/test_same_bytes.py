"""The same run gives the same bytes: twice, with more processes, killed, stopped, resumed."""

import shutil
import signal

import pytest
import torch
from nnunet_bench import FOLD, MODEL, Workbench, fold_cases, outputs, same_weights

pytestmark = pytest.mark.venvs
CHECKPOINT = ".checkpoint.pt"


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
