"""The cost of a study before it runs, on one of two tiny phantoms."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coordinator.datasets.phantom import make_phantom
from coordinator.study import cost
from coordinator.study.file import load_study
from coordinator.study.steps import Plan, Step
from coordinator.tools.finding import find_tools

OPTIONS = {"patch": "auto", "filters": "auto", "batch-size": 2}


def record(seconds: float, **options: object) -> dict[str, object]:
    return {
        "tool": "trainer", "step": "train", "seconds": seconds, "outputs": {"model.pt": "", "log.parquet": ""},
        "options": {**OPTIONS, "epochs": 10, "batches-per-epoch": 5, **options},
    }  # fmt: skip


def test_a_steps_time_is_the_median_of_networks_of_the_same_size():
    records = [record(10), record(20), record(60), record(5000, patch="32,32,32")]

    pace = cost.step_time(records, OPTIONS)

    assert (pace.seconds, pace.measured) == (20 / 50, True)
    assert pace.describe("a step") == "0.4 s a step (measured)"


def test_a_steps_time_is_assumed_where_none_was_measured():
    pace = cost.step_time([record(10, filters="8,16")], OPTIONS)

    assert (pace.seconds, pace.measured) == (cost.ASSUMED_STEP_S, False)


def test_a_cases_time_is_of_that_tool_and_never_of_training():
    labelled = {"tool": "medsam", "seconds": 30.0, "outputs": {"a": "", "b": "", "c": ""}}

    assert cost.case_time([labelled, record(10)], "medsam").seconds == 10
    assert not cost.case_time([labelled, record(10)], "trainer").measured


@pytest.fixture
def study(tmp_path: Path):
    make_phantom(tmp_path / "data" / "toy", cases=6, shape=(16, 16, 8))
    (tmp_path / "study.yaml").write_text(
        "name: s\ndatasets: [toy]\ngenerators: [{name: d, tool: degrade}]\n"
        "train: {epochs: 10, batches_per_epoch: 100, holdout: 0.5}\n",
        encoding="utf-8",
    )
    return load_study(tmp_path / "study.yaml", find_tools())


def plan_of(holdout: int) -> Plan:
    cases = [f"phantom_{i:03d}" for i in range(1, 7)]
    split = {"toy": {"train": cases[holdout:], "holdout": cases[:holdout]}}
    train = Step("toy/5-models/d/seed-0", "tool", "x", "toy", "d", "", tool="trainer", gpus=1, cases=10,
                 arguments=("--step", "train"))  # fmt: skip
    return Plan("s", "data", None, (train,), {"cases": {"toy": cases}, "split": split})


def test_hours_are_networks_times_steps_times_seconds_and_disk_is_of_the_images(study):
    plan = plan_of(3)

    hours, disk, gain = cost.describe_cost(study, plan, plan.steps)

    # 10 epochs of 100 batches at 0.13 s are 130 s.
    assert hours == "GPU hours: about 0.0 on one GPU (1 network, 0.13 s a step of training (assumed))"
    # Two networks of 130 MB; the images are 6 x 2048 voxels.
    assert disk == "disk: about 0.3 GB for everything"
    # (t_{2; 0.975} + t_{2; 0.8}) * 3 / sqrt 3 = (4.3027 + 1.0607) * 1.7321 = 9.29
    assert gain.startswith(
        "smallest gain that toy would show in 4 of 5 studies: 9.3 Dice points, with 3 held-out cases and 1 "
    )
    assert "assumed 3.0 points" in gain and "one seed does not show it" in gain


def test_two_held_out_cases_could_show_nothing(study):
    assert "none at all with 2 held-out cases" in cost.describe_cost(study, plan_of(2), ())[-1]


def test_the_spread_of_earlier_scores_is_taken_where_there_are_any(study):
    for version, dice in {"base": [0.9, 0.8, 0.7], "d": [0.8, 0.8, 0.8]}.items():
        frame = pl.DataFrame({
            "case": ["a", "b", "c"], "label": [1, 1, 1], "organ": ["liver"] * 3, "dice": dice, "surface_dice": dice,
            "reference_voxels": [9, 9, 9], "prediction_voxels": [9, 9, 9],
        })  # fmt: skip
        folder = study.run_folder / f"toy/6-predictions/{version}/seed-0"
        folder.mkdir(parents=True)
        frame.write_parquet(folder / "scores.parquet")

    # Gains of 0.1, 0 and -0.1.
    assert cost.measured_std(study.run_folder / "toy/6-predictions", "flare21") == pytest.approx(
        np.std([1, 0, -1], ddof=1) / 10
    )
    assert "measured 10.0 points" in cost.describe_cost(study, plan_of(3), ())[-1]


def test_what_earlier_runs_recorded_is_found_beside_the_run_folder(study):
    folder = study.run_folder.parent / "other/toy/5-models/base/seed-0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record(100)), encoding="utf-8")

    assert "2 s a step of training (measured)" in cost.describe_cost(study, plan_of(3), plan_of(3).steps)[0]
