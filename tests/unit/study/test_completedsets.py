"""Label sets that the reference labels complete where networks are trained on them: mixtures of both."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.labelsets import EXPERT

from contract.datasets import case_names
from contract.errors import UsageError
from coordinator.engine.execute import execute
from coordinator.study.file import load_study
from coordinator.study.pipeline import check_datasets
from coordinator.study.steps import PLAN, Plan, plan_text
from coordinator.tools.finding import find_tools

SETS = f"versions: [{{name: expert, labels: {EXPERT}}}]\n"
TRAIN = "train: {seeds: [0, 1], noise_seeds: [2], holdout: 0.4}\n"


def cases(*numbers: int) -> list[str]:
    return [f"phantom_{number:03d}" for number in numbers]


def test_a_set_that_the_reference_completes_leaves_no_training_case_out(plan: Callable[..., Plan], toy: Path):
    sets = SETS.replace("}]", ", missing: reference}]")

    made = plan(f"{sets}{TRAIN}")

    split = made.about["split"]["toy"]
    assert len(split["train"]) + len(split["holdout"]) == 6
    filled = made.step("toy/2-labels/expert-with-reference")
    assert filled.settings["cases"] == split["train"]
    assert filled.settings["chosen"] == [case for case in split["train"] if case in cases(1, 2, 3, 4)]
    assert made.step("toy/4-store/expert").inputs["labels"] == "datasets/toy/2-labels/expert-with-reference"
    assert made.step("toy/3-scores/expert").settings["prediction"] == "datasets/toy/2-labels/expert"
    assert made.about["marks"]["expert"]["made_from_reference"]
    warnings = check_datasets(load_study(toy.parents[1] / "study.yaml", find_tools()))["toy"].warnings
    assert any(
        "networks are trained on those of base where it has none, which is a mixture" in line for line in warnings
    )


def test_a_completed_set_has_its_own_labels_and_the_references_for_the_others(
    plan: Callable[..., Plan], toy: Path, tmp_path: Path
):
    made, run = plan(f"{SETS.replace('}]', ', missing: reference}]')}{TRAIN}"), tmp_path / "run"
    run.mkdir()
    (run / PLAN).write_text(plan_text(made))
    labels = run / "datasets/toy/2-labels"

    codes = [execute(run, step.id) for step in made.steps if step.kind in {"labels", "mix"}]

    assert codes == [0, 0, 0]
    train = made.about["split"]["toy"]["train"]
    assert case_names(labels / "expert-with-reference") == train
    for case in train:
        source = "expert" if case in cases(1, 2, 3, 4) else "base"
        file = f"{case}.nii.gz"
        assert (labels / "expert-with-reference" / file).read_bytes() == (labels / source / file).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SETS.replace('}]', ', missing: reference}]')}reference: expert\n{TRAIN}",
         "versions: expert: is the reference, so `missing: reference` says nothing"),
        (f"versions: [{{name: expert, labels: {EXPERT}, missing: reference}}, {{name: expert-with-reference, labels: x}}]\n",
         "the name `expert-with-reference` is taken by what completes expert"),
        (f"versions: [{{name: expert, labels: {EXPERT}, missing: base}}]\n", "missing: must be 'reference'"),
    ],
)  # fmt: skip
def test_what_can_not_complete_a_set_is_refused(plan: Callable[..., Plan], text: str, said: str):
    with pytest.raises(UsageError, match=said):
        plan(text)
