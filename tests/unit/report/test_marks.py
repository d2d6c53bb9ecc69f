"""Tables and texts say which versions were made from the reference labels, and whose labeller saw held-out cases."""

import json
from pathlib import Path

import pytest
from helpers.reports import make_report, visible_text
from helpers.runs import make_run, write_json

from coordinator.results import load_run
from coordinator.verdict import findings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(make_run(tmp_path_factory.mktemp("made")))


def test_versions_have_their_signs_and_each_sign_its_sentence(made: Path):
    for name in ("label-quality", "in-domain"):
        table = (made / f"tables/{name}.md").read_text(encoding="utf-8")

        assert "| nnunet ‡ § | Dice |" in table and "| medsam † | Dice |" in table
        assert "| totalseg | Dice |" in table and "| stunet-base | Dice |" in table
        assert "\n† Its prompts were made from the reference labels:" in table
        assert "\n‡ Made from the reference labels, though not by prompts:" in table
        assert "\n§ The networks that labelled its training cases were trained with labels of held-out cases;" in table


def test_signs_are_latex_commands(made: Path):
    table = (made / "tables/label-quality.tex").read_text(encoding="utf-8")

    assert r"nnunet $\ddagger$ \S{} & Dice &" in table


def test_observations_and_methods_say_the_same(made: Path):
    text = visible_text(made / "index.html")

    assert (
        "The labels of nnunet and the prompts of medsam were made from the reference labels, so a user without reference "
        "labels could not have them."
    ) in text
    assert (
        "The networks that labelled the training cases of nnunet were trained with labels of held-out cases; networks "
        "trained on it may score too high."
    ) in text
    assert "The labels of nnunet and the prompts of medsam were made from the reference labels. The networks" in text
    assert "of nnunet were trained with labels of held-out cases as well." in text


def test_a_run_knows_which_versions_were_made_from_the_reference_labels(tmp_path: Path):
    run = load_run(make_run(tmp_path))

    assert [version for version in run.versions if run.made_from_reference(version)] == ["nnunet", "medsam"]
    assert not run.made_from_reference("base")


def test_only_versions_that_need_no_reference_labels_save_hours_of_drawing(tmp_path: Path):
    hours = {finding.version: finding.hours for finding in findings(load_run(make_run(tmp_path)))}

    assert hours["nnunet"] is None and hours["medsam"] is None
    assert hours["totalseg"] == hours["stunet-base"] == 2 * 10 / 60  # of one organ in two training cases


def test_a_plan_that_says_nothing_of_marks_is_reported(tmp_path: Path):
    folder = make_run(tmp_path)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    del plan["marks"]
    write_json(folder / "plan.json", plan)

    run = load_run(folder)

    assert run.missing == ("which label versions were made from the reference labels: plan.json does not say",)
