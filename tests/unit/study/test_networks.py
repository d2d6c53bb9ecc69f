"""Networks of a study: which seeds each has, from which network it is fine-tuned, and how many there are."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.planning import NamedCode

from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.study.file import load_study
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import Plan, Step
from coordinator.tools.finding import find_tools

TOOLS = find_tools()
SEVEN = ", ".join(f"{{name: d{i}, tool: degrade, options: {{target-dice: 0.{i}}}}}" for i in range(2, 9))
"""Seven generators: with the reference labels eight versions, as in the paper."""


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Plans a study of dataset toy; target is one more dataset."""
    checks = {case: CaseCheck((), (), image_sha256=f"i{case}", labels_sha256=f"l{case}") for case in "abcde"}
    toy = DatasetCheck("toy", {1: "liver"}, tuple("abcde"), checks, {}, ())

    def make(train: str, generators: str = SEVEN, further: str = "", groups: Mapping[str, str] | None = None) -> Plan:
        (tmp_path / "study.yaml").write_text(
            f"name: s\ndatasets: [toy]\ngenerators: [{generators}]\ntrain: {{{train}}}\n{further}", encoding="utf-8"
        )
        return make_plan(
            load_study(tmp_path / "study.yaml", TOOLS),
            {"toy": replace(toy, groups=groups or {}), "target": replace(toy, name="target")},
            NamedCode(),
        )

    return make


def networks(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if "/5-models/" in step.id]


def seeds(plan: Plan, folder: str) -> dict[str, list[int]]:
    """Name of each network in a folder -> its seeds."""
    found: dict[str, list[int]] = {}
    for step in networks(plan):
        if step.id.startswith(f"{folder}/5-models/"):
            found.setdefault(step.label_version, []).append(int(step.id.rpartition("-")[2]))
    return found


def test_noise_seeds_make_a_study_of_eight_versions_a_quarter_dearer_and_three_seeds_thrice_as_dear(
    plan: Callable[..., Plan],
) -> None:
    one, noise, three = (
        len(networks(plan(train))) for train in ("seeds: [0]", "seeds: [0], noise_seeds: [1, 2]", "seeds: [0, 1, 2]")
    )

    assert (one, noise, three) == (8, 10, 24)
    assert noise / one == 1.25


def test_three_seeds_are_the_default(plan: Callable[..., Plan]) -> None:
    made = plan("", "medsam")

    assert seeds(made, "toy") == {"base": [0, 1, 2], "medsam": [0, 1, 2]}
    assert (made.about["seeds"], made.about["noise_seeds"]) == ([0, 1, 2], [])


def test_noise_seeds_are_those_of_the_reference_labels_alone(plan: Callable[..., Plan]) -> None:
    made = plan("seeds: [0], noise_seeds: [5, 6]", "medsam")

    assert seeds(made, "toy") == {"base": [0, 5, 6], "medsam": [0]}
    assert (made.about["seeds"], made.about["noise_seeds"]) == ([0], [5, 6])


def test_noise_seeds_are_tested_as_all_networks_are(plan: Callable[..., Plan]) -> None:
    made = plan("seeds: [0], noise_seeds: [5]", "medsam")

    scores = made.step("toy/6-predictions/base/seed-5/scores")
    assert scores.settings["seed"] == 5
    assert scores.settings["reference"] == "datasets/toy/2-labels/base"
    assert made.step("toy/5-models/base/seed-5").inputs == made.step("toy/5-models/base/seed-0").inputs


def test_noise_seeds_are_fine_tuned_too_each_from_its_own_network(plan: Callable[..., Plan]) -> None:
    made = plan("seeds: [0], noise_seeds: [5]", "medsam", "transfer: [target]\n")

    assert seeds(made, "transfer/target/toy") == {"no-pretrain": [0], "base": [0, 5], "medsam": [0]}
    assert made.step("transfer/target/toy/5-models/base/seed-5").inputs["parent"] == "datasets/toy/5-models/base/seed-5"


def test_noise_seeds_redo_nothing_that_was_done_without_them(plan: Callable[..., Plan]) -> None:
    before = {step.id: step.fingerprint for step in plan("seeds: [0]", further="transfer: [target]\n").steps}
    after = {
        step.id: step.fingerprint for step in plan("seeds: [0], noise_seeds: [1]", further="transfer: [target]\n").steps
    }

    assert {step: after[step] for step in before} == before
    assert all("/base/seed-1" in step for step in after.keys() - before.keys())


def test_folds_have_networks_and_image_stores_of_their_own(plan: Callable[..., Plan]) -> None:
    made = plan("seeds: [0, 1], folds: 5", "degrade")

    assert len(networks(made)) == 5 * 2 * 2
    held_out = [split["holdout"] for split in made.about["folds"]["toy"]]
    assert sorted(case for cases in held_out for case in cases) == list("abcde")
    assert "split" not in made.about
    for number, cases in enumerate(held_out):
        folder = f"toy/folds/{number}"
        predictions = made.step(f"{folder}/6-predictions/degrade/seed-1")
        assert predictions.inputs["split"] == f"datasets/{folder}/split"
        assert made.step(f"{predictions.id}/scores").settings["cases"] == cases
        assert made.step(f"{folder}/5-models/degrade/seed-1").inputs["store"] == f"datasets/{folder}/4-store/images"
    assert len({made.step(f"toy/folds/{n}/4-store/images").fingerprint for n in range(5)}) == 5


@pytest.mark.parametrize(
    ("train", "further", "said"),
    [
        ("folds: 6", "", "toy: each of 6 folds needs a case to hold out, but there are 5 sound cases"),
        ("folds: 3, holdout: 0.2", "", "folds: hold every case out once, so `holdout` has nothing to say"),
        ("folds: 3, split: a.json", "", "folds: hold every case out once, so `split` has nothing to say"),
        ("folds: 3", "transfer: [target]", "transfer: fine-tunes networks of one split, but `train.folds`"),
        ("folds: 1", "", "folds: .*greater than or equal to 2"),
    ],
)
def test_folds_that_say_two_things_are_refused(plan: Callable[..., Plan], train: str, further: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(train, "degrade", further)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("split", ["holdout: 0.4", "folds: 3"])
def test_cases_of_a_patient_are_never_on_both_sides(plan: Callable[..., Plan], split: str, seed: int) -> None:
    made = plan(f"seeds: [0], {split}, split_seed: {seed}", "degrade", groups={"a": "17", "d": "17", "e": "19"})

    splits = made.about["folds"]["toy"] if "folds" in split else [made.about["split"]["toy"]]
    assert all(({"a", "d"} <= set(each["holdout"])) or ({"a", "d"} <= set(each["train"])) for each in splits)
    assert made.about["groups"]["toy"] == {"a": "a", "d": "a"}
