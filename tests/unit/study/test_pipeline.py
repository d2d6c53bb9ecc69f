"""Plans: which steps there are, what each depends on, and what makes a step out of date."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.chains import make_dataset
from helpers.planning import NamedCode

from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.study import steps
from coordinator.study.file import load_study
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.steps import Plan, Step
from coordinator.tools.finding import find_tools

STUDY = """
name: toy
datasets: [toy]
generators: [medsam, {name: degraded, tool: degrade, options: {target-dice: 0.8}}]
"""
TRAIN = "train: {epochs: 3, seeds: [0, 1]}\n"


def checked(*cases: str, labels: str = "1", image: str = "1") -> DatasetCheck:
    checks = {c: CaseCheck((), (), image_sha256=f"i{c}{image}", labels_sha256=f"l{c}{labels}") for c in cases}
    return DatasetCheck("toy", {1: "liver", 2: "spleen"}, tuple(sorted(cases)), checks, {}, ())


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    def make(text: str = STUDY, data: DatasetCheck | None = None, runner: NamedCode | None = None) -> Plan:
        (tmp_path / "study.yaml").write_text(text)
        study = load_study(tmp_path / "study.yaml", find_tools())
        return make_plan(study, {"toy": data or checked("a", "b", "c")}, runner or NamedCode())

    return make


def changed(before: Plan, after: Plan) -> set[str]:
    old = {step.id: step.fingerprint for step in before.steps}
    return {step.id for step in after.steps if old.get(step.id) != step.fingerprint}


def test_a_study_without_training_ends_with_scores(plan: Callable[..., Plan]) -> None:
    assert [step.id for step in plan().steps] == [
        "toy/2-labels/base",
        "toy/1-raw/medsam",
        "toy/2-labels/medsam",
        "toy/3-scores/medsam",
        "toy/1-raw/degraded",
        "toy/2-labels/degraded",
        "toy/3-scores/degraded",
    ]


def test_training_adds_a_store_and_for_each_version_and_seed_a_model_predictions_and_scores(
    plan: Callable[..., Plan],
) -> None:
    ids = [step.id for step in plan(STUDY + TRAIN).steps]

    assert ids.count("toy/4-store/images") == 1
    for version in ("base", "medsam", "degraded"):
        assert f"toy/4-store/{version}" in ids
        for seed in (0, 1):
            assert f"toy/5-models/{version}/seed-{seed}" in ids
            assert f"toy/6-predictions/{version}/seed-{seed}/scores" in ids
    assert len(ids) == len(set(ids)) == 7 + 1 + 3 + 3 * 2 * 3


def test_networks_are_trained_on_the_cases_of_a_given_split_and_another_one_does_them_again(
    plan: Callable[..., Plan],
) -> None:
    given = "train: {{epochs: 3, seeds: [0], split: {{train: [a, {}], holdout: [{}]}}}}\n"
    drawn, first, second = (
        plan(STUDY + TRAIN),
        plan(STUDY + given.format("c", "b")),
        plan(STUDY + given.format("b", "c")),
    )

    assert first.about["split"]["toy"] == {"train": ["a", "c"], "holdout": ["b"]}
    assert changed(first, second) == {step.id for step in first.steps if step.id.split("/")[1] > "4"}
    assert changed(drawn, first) <= changed(first, second)


def test_every_step_comes_after_what_it_needs(plan: Callable[..., Plan]) -> None:
    seen: set[str] = set()
    for step in plan(STUDY + TRAIN).steps:
        assert set(step.needs) <= seen
        seen.add(step.id)


def test_the_same_study_gives_the_same_plan(plan: Callable[..., Plan]) -> None:
    assert plan(STUDY + TRAIN) == plan(STUDY + TRAIN)


def test_a_plan_comes_back_from_its_file(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan(STUDY + TRAIN)
    (tmp_path / steps.PLAN).write_text(steps.plan_text(made))

    assert steps.read_plan(tmp_path) == made


def test_other_options_redo_a_version_and_what_hangs_on_it_and_nothing_else(plan: Callable[..., Plan]) -> None:
    redone = changed(plan(STUDY + TRAIN), plan(STUDY.replace("0.8", "0.7") + TRAIN))

    assert "toy/1-raw/degraded" in redone
    assert "toy/6-predictions/degraded/seed-1/scores" in redone
    assert all("degraded" in step for step in redone)


def test_another_tool_version_redoes_what_the_tool_made(plan: Callable[..., Plan]) -> None:
    redone = changed(plan(STUDY + TRAIN), plan(STUDY + TRAIN, runner=NamedCode(medsam="mended")))

    assert "toy/1-raw/medsam" in redone
    assert all("medsam" in step for step in redone)


def test_changed_labels_redo_base_and_what_reads_them_but_not_the_image_store(plan: Callable[..., Plan]) -> None:
    redone = changed(plan(STUDY + TRAIN), plan(STUDY + TRAIN, checked("a", "b", "c", labels="2")))

    assert {"toy/2-labels/base", "toy/1-raw/medsam"} <= redone
    assert "toy/4-store/images" not in redone


def test_more_epochs_redo_no_label_version(plan: Callable[..., Plan]) -> None:
    redone = changed(plan(STUDY + TRAIN), plan(STUDY + TRAIN.replace("3", "4")))

    assert "toy/5-models/base/seed-0" in redone
    assert not any("/1-raw/" in step or "/2-labels/" in step for step in redone)


def test_another_tolerance_redoes_scores_alone(plan: Callable[..., Plan]) -> None:
    redone = changed(plan(STUDY + TRAIN), plan(STUDY + TRAIN + "score: {tolerance_mm: 2}\n"))

    assert redone
    assert all("scores" in step for step in redone)


@pytest.mark.parametrize("score", ["empty: flare22", "empty: totalsegmentator", "distances: true", "also_mm: [3]"])
def test_another_way_of_scoring_redoes_scores_alone(plan: Callable[..., Plan], score: str) -> None:
    before, after = plan(STUDY + TRAIN), plan(STUDY + TRAIN + f"score: {{{score}}}\n")

    assert changed(before, after) == {step.id for step in before.steps if step.kind in {"score", "score-predictions"}}


def test_scores_of_label_versions_come_with_shells_and_those_of_networks_do_not(plan: Callable[..., Plan]) -> None:
    also = {step.id: step.also for step in plan(STUDY + TRAIN).steps if step.also}

    assert also == {
        f"toy/3-scores/{version}": (f"datasets/toy/3-scores/shells/{version}.parquet",)
        for version in ("medsam", "degraded")
    }


def test_a_convention_that_differs_in_tables_alone_redoes_nothing(plan: Callable[..., Plan]) -> None:
    assert changed(plan(STUDY + TRAIN), plan(STUDY + TRAIN + "score: {empty: word}\n")) == set()


def test_many_cases_are_scored_by_several_processes(plan: Callable[..., Plan]) -> None:
    many = plan(STUDY, checked(*(f"case_{i:04}" for i in range(5200))))
    few = plan(STUDY + "run: {threads: 1}\n", checked(*(f"case_{i:04}" for i in range(5200))))

    assert (many.step("toy/3-scores/medsam").cpus, plan().step("toy/3-scores/medsam").cpus) == (4, 1)
    assert few.step("toy/3-scores/medsam").cpus == 1


def test_all_models_of_a_seed_differ_in_their_labels_alone(plan: Callable[..., Plan]) -> None:
    models = [step for step in plan(STUDY + TRAIN).steps if "/5-models/" in step.id and "seed-0" in step.id]

    def conditions(step: Step) -> list[str]:
        return [a.replace(step.label_version, "V") for a in step.arguments]

    assert len(models) == 3
    assert all(conditions(step) == conditions(models[0]) for step in models)
    assert {step.inputs["store"] for step in models} == {"datasets/toy/4-store/images"}


def test_only_tools_that_need_labels_may_see_them(plan: Callable[..., Plan]) -> None:
    sees = {step.id for step in plan(STUDY + TRAIN).steps if step.shows_labels}

    assert sees == {"toy/1-raw/medsam", "toy/1-raw/degraded"}


def test_one_case_is_too_few_to_train_on(plan: Callable[..., Plan]) -> None:
    with pytest.raises(UsageError, match="needs at least 2 sound cases"):
        plan(STUDY + TRAIN, checked("a"))


def test_a_dataset_without_labels_cannot_be_studied(plan: Callable[..., Plan]) -> None:
    with pytest.raises(UsageError, match="toy: a study compares label versions with reference labels"):
        plan(STUDY, replace(checked("a", "b"), labels={}))


TWO_NNUNETS = """
name: toy
datasets: [toy]
generators: [nnunet, {name: nnunet-clean, tool: nnunet, options: {folds-over: training}}]
"""


def test_only_a_generator_that_leaves_held_out_cases_out_depends_on_the_split(plan: Callable[..., Plan]) -> None:
    cases = checked(*"abcdefghij")
    before = plan(TWO_NNUNETS + "train: {}\n", cases)
    redone = changed(before, plan(TWO_NNUNETS + "train: {split_seed: 1}\n", cases))

    assert "toy/0-work/nnunet-clean/prepare" in redone
    assert "toy/3-scores/nnunet-clean" in redone
    assert not any(
        "/nnunet/" in step for step in redone if step.startswith(("toy/0-work", "toy/1-raw", "toy/2-labels"))
    )
    assert before.step("toy/0-work/nnunet-clean/prepare").inputs["split"] == "datasets/toy/split"


def test_the_plan_says_whose_labeller_has_seen_held_out_cases(plan: Callable[..., Plan]) -> None:
    marks = plan(TWO_NNUNETS + "train: {}\n", checked(*"abcdefghij")).about["marks"]

    assert {version: mark["labeller_saw_held_out"] for version, mark in marks.items()} == {
        "nnunet": True, "nnunet-clean": False,
    }  # fmt: skip
    assert all(mark["made_from_reference"] for mark in marks.values())


def test_leaving_held_out_cases_out_needs_a_study_that_holds_some_out(plan: Callable[..., Plan]) -> None:
    with pytest.raises(
        UsageError, match="nnunet-clean with `folds-over: training` learns nothing from held-out cases, but"
    ):
        plan(TWO_NNUNETS, checked(*"abcdefghij"))


def test_a_targets_scans_that_a_dataset_trains_on_are_not_held_out(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", "toy", cases=("a", "b", "c", "d"))
    make_dataset(tmp_path / "data", "target", first=2, cases=("w", "x", "y", "z"))
    text = STUDY.replace("[medsam, {name", "[{name") + "train: {epochs: 3, holdout: 0.5}\ntransfer: [target]\n"
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml", find_tools())

    checked = check_datasets(study)

    assert not any("same scan" in warning for check in checked.values() for warning in check.warnings)
    about = make_plan(study, checked, NamedCode()).about
    assert about["split"]["target"]["holdout"] == ["y", "z"]
    assert [leak["cases"] for leak in about["leaks"]] == [("target/w = toy/c", "target/x = toy/d")]
