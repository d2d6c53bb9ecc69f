"""The check of tools that work in steps."""

from collections.abc import Callable

import pytest
from helpers.checking import check_rules, problems_by_rule

from contract.manifest import load_manifest
from coordinator.conformance.targets import LOCKS, ProcessTarget
from coordinator.tools.finding import Tool

pytestmark = pytest.mark.venvs

Make = Callable[[str, str], Tool]


@pytest.mark.long
def test_a_tool_of_steps_passes(make: Make):
    results = check_rules(ProcessTarget(make("", "stepped")), None)

    assert problems_by_rule(results) == {}
    skipped = {result.rule: result.skipped for result in results if result.skipped and result.rule not in LOCKS}
    assert skipped == {
        "label-grid": "reads no labels in its last step",
        "weights": "has no weights, or they come with its package",
    }


def test_inputs_that_no_step_makes_are_given(make: Make):
    tool = make("", "stepped")
    manifest = tool.folder / "manifest.yaml"
    text = manifest.read_text(encoding="utf-8")
    given = text.replace("reads: [images, labels]}", "inputs: {split: split, labels: label-version}, reads: [images]}")
    manifest.write_text(given, encoding="utf-8")

    results = check_rules(ProcessTarget(Tool(tool.folder, load_manifest(tool.folder))), None, "run", "stop", "whole")

    assert problems_by_rule(results) == {}
    assert [result.skipped for result in results] == ["", "", "its steps need inputs from outside"]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("whole", "a_ras: must be the same as when it is run step by step"),
        ("stop", "step learn: stopped and run again it must end as undisturbed, but learnt.json differs"),
    ],
)
def test_what_is_broken_in_steps_is_found(broken: str, words: str, make: Make):
    problems = problems_by_rule(check_rules(ProcessTarget(make(broken, "stepped")), None, broken))

    assert set(problems) == {broken}
    assert words in problems[broken]
