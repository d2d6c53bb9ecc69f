"""The check of tools that work in steps."""

from collections.abc import Callable

import pytest
from helpers.checking import found, wrong

from contract.manifest import load_manifest
from coordinator.conformance.targets import LOCKS, ProcessTarget
from coordinator.tools.finding import Tool

pytestmark = pytest.mark.venvs

Make = Callable[[str, str], Tool]


@pytest.mark.long
def test_a_tool_of_steps_passes(make: Make):
    findings = found(ProcessTarget(make("", "stepped")), None)

    assert wrong(findings) == {}
    skipped = {finding.rule: finding.skipped for finding in findings if finding.skipped and finding.rule not in LOCKS}
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

    findings = found(ProcessTarget(Tool(tool.folder, load_manifest(tool.folder))), None, "run", "stop", "whole")

    assert wrong(findings) == {}
    assert [finding.skipped for finding in findings] == ["", "", "its steps need inputs from outside"]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("whole", "a_ras: must be the same as when it is run step by step"),
        ("stop", "step learn: stopped and run again it must end as undisturbed, but learnt.json differs"),
    ],
)
def test_what_is_broken_in_steps_is_found(broken: str, words: str, make: Make):
    problems = wrong(found(ProcessTarget(make(broken, "stepped")), None, broken))

    assert set(problems) == {broken}
    assert words in problems[broken]
