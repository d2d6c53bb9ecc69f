"""Whose settings a training has: what the paper states, and what is ours because it states nothing."""

import json
from pathlib import Path

import pytest
from helpers.runs import make_run, tool_record, write_json

from coordinator.report.methods import write_methods
from coordinator.results import paper
from coordinator.results.load import load_run
from coordinator.study.settings import TrainSettings
from coordinator.tools.finding import find_tools

RECIPE = {
    "patch": "48 × 48 × 16 voxels",  # noqa: RUF001
    "batch": "2 patches",
    "loss": "Dice loss plus cross entropy",
    "deep supervision": "3 lower resolutions",
    "augmentation": "none",
    "weight decay": "0.01",
    "precision": "float32",
}
UNSTATED = ("loss", "deep supervision", "augmentation", "batch size", "weight decay", "precision", "normalisation")


def record(run: Path, dataset: str = "word", **changes: str) -> None:
    """Let all networks of a dataset have recorded how they were trained."""
    for model in (run / "datasets" / dataset / "5-models").glob("*/seed-0"):
        write_json(model / "run.json", {**tool_record("trainer"), "recipe": {**RECIPE, **changes}})


def attribution(run: Path) -> str:
    """The paragraph on whose settings these are."""
    return next(p for p in write_methods(load_run(run)).paragraphs if p.startswith("Of training"))


def test_what_the_paper_states_is_named_and_so_is_where_this_study_differs(tmp_path: Path):
    run = make_run(tmp_path)
    record(run)

    text = attribution(run)

    assert text.startswith("Of training, Jaus et al. [1] state: a DynUNet; 1000 epochs of exactly 250 batches; AdamW")
    assert (
        "This study keeps to that but for epochs 8 (the paper has 1000); its median resolution is that of the" in text
    )


def test_everything_else_is_named_as_ours_with_what_the_trainer_recorded(tmp_path: Path):
    run = make_run(tmp_path)
    record(run)

    text = attribution(run)

    ours = (
        "All other settings, and the number of seeds, are this study's own choice, since Jaus et al. state none of "
        "them: "
    )
    assert ours in text
    listed = text.split(ours)[1]
    assert [topic for topic, phrase in RECIPE.items() if f"{topic}: {phrase}" not in listed] == []


def test_networks_that_were_trained_differently_show_both(tmp_path: Path):
    run = make_run(tmp_path)
    record(run)
    write_json(
        run / "datasets/word/5-models/medsam/seed-0/run.json",
        {**tool_record("trainer"), "recipe": {**RECIPE, "precision": "bfloat16"}},
    )

    text = attribution(run)

    assert "precision: float32 or bfloat16" in text or "precision: bfloat16 or float32" in text


def test_a_run_without_such_a_record_says_so(tmp_path: Path):
    text = attribution(make_run(tmp_path))

    assert text.endswith("All other settings are this study's own choice; its trainer left no record of them.")


def test_settings_that_differ_between_datasets_stand_with_their_dataset(tmp_path: Path):
    run = make_run(tmp_path)
    record(run)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    for key in ("versions", "labels", "common_labels", "excluded_labels", "cases", "split"):
        plan[key]["btcv"] = plan[key]["word"]
    write_json(run / "plan.json", plan)
    other = {**tool_record("trainer"), "recipe": {**RECIPE, "patch": "64 × 64 × 64 voxels"}}  # noqa: RUF001
    write_json(run / "datasets/btcv/5-models/base/seed-0/run.json", other)

    text = attribution(run)

    assert "On word: patch: 48 × 48 × 16 voxels." in text and "On btcv: patch: 64 × 64 × 64 voxels." in text  # noqa: RUF001
    assert text.count("loss: ") == 1


@pytest.mark.parametrize("topic", UNSTATED)
def test_what_the_paper_does_not_state_is_not_among_what_it_states(topic: str):
    stated = "; ".join(paper.TRAINING_IN_WORDS[:-1])  # the last is on fine-tuning, which keeps the normalisation

    assert topic not in stated


def test_the_trainers_defaults_are_the_papers_where_it_states_one():
    options = next(t.manifest.options for t in find_tools().values() if t.manifest.kind == "trainer")
    ours = {name.replace("-", "_"): option.default for name, option in options.items()}

    assert {name: ours[name] for name in paper.TRAINING if name in ours} == {
        name: value for name, value in paper.TRAINING.items() if name in ours
    }
    assert TrainSettings().holdout == paper.TRAINING["holdout"]
