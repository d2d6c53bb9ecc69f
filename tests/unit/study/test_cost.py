"""The cost of a study before it runs, on one of two tiny phantoms."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.planning import NamedCode
from helpers.runs import write_json

from coordinator.datasets.phantom import make_phantom
from coordinator.statistics.gains import Cube
from coordinator.statistics.seednoise import seed_error
from coordinator.study import cost
from coordinator.study.cost import describe_cost
from coordinator.study.detectable import ASSUMED_SEED_STD, expected_seed_error, measured_std
from coordinator.study.file import Study, load_study
from coordinator.study.pipeline import make_plan
from coordinator.study.settings import TrainSettings, VerdictSettings
from coordinator.study.steps import BASE, Seeds
from coordinator.tools.finding import find_tools

TOOLS = find_tools()
OPTIONS = {"patch": "auto", "patch-voxels": 2097152, "filters": "auto", "batch-size": 2}


def record(seconds: float, **options: object) -> dict[str, object]:
    return {
        "tool": "trainer", "step": "train", "device": "cuda:0", "seconds": seconds, "outputs": {"model.pt": "", "log.parquet": ""},
        "steps_this_run": 50, "options": {**OPTIONS, "epochs": 10, "batches-per-epoch": 5, **options},
    }  # fmt: skip


def test_a_steps_time_is_the_median_of_networks_of_the_same_size():
    records = [record(10), record(20), record(60), record(5000, patch="32,32,32")]

    pace = cost.step_time(records, OPTIONS)

    assert (pace.seconds, pace.measured) == (20 / 50, True)
    assert pace.describe("a step") == "0.4 s a step (measured)"


def test_a_steps_time_is_assumed_where_none_was_measured():
    pace = cost.step_time([record(10, filters="8,16")], OPTIONS)

    assert (pace.seconds, pace.measured) == (cost.ASSUMED_STEP_S, False)


def test_a_steps_time_is_of_the_steps_that_the_run_did_which_ended_the_training():
    resumed, only_written = record(2) | {"steps_this_run": 5}, record(0.1) | {"steps_this_run": 0}

    assert cost.step_time([resumed, only_written], OPTIONS).seconds == 2 / 5
    assert not cost.step_time([only_written], OPTIONS).measured


def done(seconds: float | None) -> dict[str, object]:
    return {"seconds": seconds, "output_sha256": "1f"}


def test_a_cases_time_is_of_that_tool_and_never_of_training_or_of_cases_that_failed():
    failed = {"seconds": 0.01, "output_sha256": None}
    labelled = {"tool": "medsam", "seconds": 30.0, "cases": {"a": done(14.0), "b": done(6.0), "c": failed}}

    assert cost.case_time([labelled, record(10)], "medsam").seconds == 10
    assert not cost.case_time([labelled, record(10)], "trainer").measured


def test_a_cases_time_is_of_the_cases_whose_time_is_known():
    resumed = {"tool": "medsam", "seconds": 0.2, "cases": {"a": done(None), "b": done(6.0)}}

    assert cost.case_time([resumed], "medsam").seconds == 6


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """A study of six tiny phantoms and one label version beside the reference labels."""
    make_phantom(tmp_path / "data" / "toy", cases=6, shape=(16, 16, 8))

    def make(seeds: str = "", further: str = "") -> Study:
        (tmp_path / "study.yaml").write_text(
            "name: s\ndatasets: [toy]\ngenerators: [{name: d, tool: degrade}]\n"
            f"train: {{epochs: 10, batches_per_epoch: 100, holdout: 0.5{seeds}}}\n{further}",
            encoding="utf-8",
        )
        return load_study(tmp_path / "study.yaml", TOOLS)

    return make


def cost_of(study: Study) -> list[str]:
    plan = make_plan(study, runner=NamedCode())
    return describe_cost(study, plan, [step._replace(gpus=int("train" in step.arguments)) for step in plan.steps], 0.95)


def test_hours_are_networks_times_steps_times_seconds(study: Callable[..., Study]) -> None:
    # 10 epochs of 100 batches at 0.13 s are 130 s: six networks take 0.2 hours, four 0.1.
    assert cost_of(study())[0] == ("GPU hours: about 0.2 on one GPU (6 networks, 0.13 s a step of training (assumed))")
    assert cost_of(study(", seeds: [0], noise_seeds: [1, 2]"))[0].startswith("GPU hours: about 0.1 on one GPU (4 netw")


@pytest.mark.parametrize(
    ("seeds", "disk"),
    [(", seeds: [0]", "0.3 GB"), (", seeds: [0], noise_seeds: [1, 2]", "0.5 GB"), ("", "0.8 GB")],
)
def test_disk_is_of_two_networks_four_or_six_of_130_mb(seeds: str, disk: str, study: Callable[..., Study]) -> None:
    assert cost_of(study(seeds))[1] == f"disk: about {disk} for everything"


def test_the_smallest_gain_names_cases_comparisons_and_both_kinds_of_noise(study: Callable[..., Study]) -> None:
    line = cost_of(study())[-1]

    assert re.fullmatch(
        r"smallest gain that toy would show in 4 of 5 studies: 1\d\.\d points of Dice, 1\d\.\d points to be worth it; "
        r"with 3 held-out cases \(of 6 cases in all\) and 1 comparison; standard deviation between cases 3\.0 points "
        r"\(assumed\), between seeds 0\.5 points \(assumed\)",
        line,
    ), line
    shown, worth_it = (float(number) for number in re.findall(r"([\d.]+) points", line)[:2])
    assert worth_it == pytest.approx(shown + 1.0)


def test_more_comparisons_show_only_larger_gains(study: Callable[..., Study]) -> None:
    made = study()
    plan = make_plan(made, runner=NamedCode())

    lines = [describe_cost(made, plan, (), confidence)[-1] for confidence in (0.95, 0.99)]
    one, many = (float(re.findall(r"([\d.]+) points", line)[0]) for line in lines)
    assert one < many


def test_one_seed_can_not_tell_at_all(study: Callable[..., Study]) -> None:
    assert cost_of(study(", seeds: [7]"))[2:] == [
        "smallest gain that this study would show: none, it can't tell at all, since one seed does not show how much "
        "networks differ by chance; add seeds, or `noise_seeds: [8, 9]` (2 more networks), or `verdict.seed_std` with its "
        "source"
    ]


def test_one_seed_can_tell_with_a_standard_deviation_from_elsewhere(study: Callable[..., Study]) -> None:
    given = "verdict: {seed_std: 0.004, seed_std_source: five seeds on word}\n"

    assert cost_of(study(", seeds: [0]", given))[-1].endswith(
        "between seeds 0.4 points (the study file's, from: five seeds on word)"
    )


def test_one_seed_can_tell_with_networks_that_show_the_noise_of_seeds(study: Callable[..., Study]) -> None:
    assert cost_of(study(", seeds: [0], noise_seeds: [1, 2]"))[-1].endswith("between seeds 0.5 points (assumed)")


@pytest.mark.parametrize("train", [
    TrainSettings(), TrainSettings(seeds=(0, 1)), TrainSettings(seeds=(0,), noise_seeds=(1, 2)),
    TrainSettings(seeds=(0, 1), noise_seeds=(2,)),
])  # fmt: skip
@pytest.mark.parametrize("comparisons", [2, 3, 7])
def test_the_noise_of_seeds_is_as_well_known_as_the_verdict_will_know_it(
    train: TrainSettings, comparisons: int
) -> None:
    """The seeds of all versions vary alike; the verdict's own rule is the oracle."""
    versions = ("base", *(f"v{i}" for i in range(comparisons)))
    networks = len(train.seeds) + len(train.noise_seeds)
    scores = np.full((len(versions), 40, networks, 1), np.nan)
    for i, version in enumerate(versions):
        seeds = Seeds(BASE, train.seeds, train.noise_seeds).of(version)
        spread = np.linspace(-1, 1, len(seeds)) if len(seeds) > 1 else np.zeros(1)
        spread *= ASSUMED_SEED_STD / (spread.std(ddof=1) if len(seeds) > 1 else 1)
        spread *= 1 if i > 1 else 1 - 1e-9  # base and v0 are the calmer ones by a hair, since the rule differs at a tie
        scores[i, :, : len(seeds), 0] = 0.8 + spread
    cube = Cube(versions, tuple(map(str, range(40))), tuple(range(networks)), (1,), scores)

    judged = seed_error(cube, "base", "v0")
    expected = expected_seed_error(train, VerdictSettings(), comparisons)

    assert judged is not None and expected is not None
    assert expected.std == pytest.approx(judged.std)
    assert expected.freedom == pytest.approx(judged.freedom)


def test_two_held_out_cases_can_not_tell_and_it_is_said_how_many_cases_would_do(study: Callable[..., Study]) -> None:
    few = study("").file
    few.write_text(few.read_text(encoding="utf-8").replace("0.5", "0.25"), encoding="utf-8")

    assert cost_of(load_study(few, TOOLS))[-1] == (
        "smallest gain that toy would show: none, it can't tell at all with 2 held-out cases (of 6 cases in all); hold out "
        "at least 3, which takes 12 cases in all with `holdout: 0.25`"
    )


def test_the_spread_of_earlier_scores_is_taken_where_there_are_any(study: Callable[..., Study]) -> None:
    made = study()
    for version, dice in {"base": [0.9, 0.8, 0.7], "d": [0.8, 0.8, 0.8]}.items():
        frame = pl.DataFrame({
            "case": ["a", "b", "c"], "label": [1, 1, 1], "organ": ["liver"] * 3, "dice": dice, "surface_dice": dice,
            "reference_voxels": [9, 9, 9], "prediction_voxels": [9, 9, 9],
        })  # fmt: skip
        folder = made.run_folder / f"datasets/toy/6-predictions/{version}/seed-0"
        folder.mkdir(parents=True)
        frame.write_parquet(folder / "scores.parquet")

    # Gains of 0.1, 0 and -0.1.
    plan = make_plan(made, runner=NamedCode())
    assert measured_std(made, plan, "datasets/toy", "toy") == pytest.approx(np.std([1, 0, -1], ddof=1) / 10)
    assert "between cases 10.0 points (measured)" in cost_of(made)[-1]


def test_what_earlier_runs_recorded_is_found_beside_the_run_folder(study: Callable[..., Study]) -> None:
    made = study()
    folder = made.run_folder.parent / "other/datasets/toy/5-models/base/seed-0"
    write_json(folder / "run.json", record(100))
    write_json(
        folder.parents[2] / "4-store/images/run.json", {"tool": "trainer", "step": "prepare", "options": OPTIONS}
    )

    assert "2 s a step of training (measured)" in cost_of(made)[0]


def test_networks_of_another_size_or_without_a_gpu_say_nothing_of_the_time(study: Callable[..., Study]) -> None:
    made = study()
    for name, device, patch in (("small", "cuda:0", "32,32,32"), ("slow", "cpu", "auto")):
        folder = made.run_folder.parent / name / "datasets/toy"
        write_json(folder / "5-models/base/seed-0/run.json", {**record(100), "device": device})
        options = {**OPTIONS, "patch": patch}
        write_json(folder / "4-store/images/run.json", {"tool": "trainer", "step": "prepare", "options": options})

    assert "0.13 s a step of training (assumed)" in cost_of(made)[0]
