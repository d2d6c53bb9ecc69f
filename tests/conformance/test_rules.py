"""Every rule is broken by a foreign tool, and the check says which."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checking import check_rules, problems_by_rule

from coordinator.conformance.check import DESCRIBE
from coordinator.conformance.rules import RULES
from coordinator.conformance.targets import LOCKS, ProcessTarget
from coordinator.tools.finding import Tool

pytestmark = pytest.mark.venvs

BROKEN = {
    # what is broken: (the rules that find it, a part of what they say)
    "describe": ("describe", "must print a sound manifest as JSON"),
    "run": ("run", "but h_ari is missing"),
    "grid": ("grid", "a_ras: sform code must be the image's 1, but is 2"),
    "grid: moved": ("grid", "a_ras: sform must be the image's, but differs by 1 mm"),
    "grid: shape": ("grid", "a_ras: shape must be the image's (48, 40, 12), but is (47, 40, 12)"),
    "integers": ("integers", "a_ras: must be uint8 (uint16 where an id is above 255), but is int64"),
    "integers: float": ("integers", "but is float32"),
    "integers: scale": ("integers ids", "must have no scale, but has slope 2"),
    "orientation": ("orientation", "labels must be the same whatever the file's orientation"),
    "ids": ("ids", "a_ras: ids must be of the label table, but 9 occurs"),
    "status": ("status", "a line must have the fields case, fingerprint, notes"),
    "status: sha256": ("status", "output_sha256 in status.jsonl must be that of the file"),
    "provenance": ("provenance", "run.json must have all fields, but packages is missing"),
    "provenance: input": ("provenance", "run.json: cases.a_ras must say input_sha256"),
    "provenance: options": ("provenance", "run.json must say options"),
    "again": ("again", "a second run must leave every file alone, but writes a_ras.nii.gz"),
    "again: loads": ("again", "a run with nothing to do must load no model"),
    "changed-input": ("changed-input", "a_ras: must be done again after its image changed"),
    "changed-option": ("changed-option", "with --lowest-hu=151 a_ras, b_lps must be done again, but none is"),
    "truncated": ("truncated", "must end with exit code 3, but ends with 1 (ValueError"),
    "truncated: zeros": ("truncated", "b_lps: status.jsonl must say that it failed, and why"),
    "truncated: no reason": ("truncated", "b_lps: status.jsonl must say that it failed, and why"),
    "label-grid": ("label-grid", "c_las: status.jsonl must say that it failed, and why"),
    "stop: goes on": ("stop", "must end with exit code 143 within 30 s of SIGTERM, but ends with 0"),
    "stop: half a file": ("stop", "gzip stream is truncated"),
    "stop: other bytes": ("stop", "stopped and run again it must end as undisturbed"),
    "usage": ("usage", "an unknown option: must end with exit code 2, but ends with 0"),
    "empty": ("empty", "a dataset without images: must end with exit code 2, but ends with 0"),
    "environment": ("environment", "must end with exit code 3 or 0, but ends with 2 (error: --dataset is missing)"),
    "environment: an option": ("environment", "options must say share: 0.625, but says 0.5"),
    "cases": ("cases", "--cases must do b_lps, e_pir, but a_ras, b_lps, c_las, d_rsa, … was tried"),
    "cases: shards": ("cases", "--shard 1/2 and 2/2 must share the cases"),
    "weights": ("weights", "weights.bin with another sha256: must end with exit code 2, but ends with 0"),
    "outside": ("outside", "nothing must be left outside of /out and /tmp, but cache is"),
    "outside: data": ("outside", "data and weights must stay as they are, but sound/check/dataset.yaml does not"),
}  # fmt: skip


@pytest.mark.parametrize("broken", [pytest.param(b, marks=[pytest.mark.long] * (": " in b)) for b in BROKEN])
def test_what_is_broken_is_found(broken: str, make: Callable[..., Tool], weights: Path):
    rules, words = BROKEN[broken]

    problems = problems_by_rule(check_rules(ProcessTarget(make(broken)), weights, *rules.split()))

    assert set(problems) == set(rules.split())
    assert words in " ".join(problems.values())


def test_a_foreign_tool_that_keeps_the_contract_passes(make: Callable[..., Tool], weights: Path):
    results = check_rules(ProcessTarget(make("")), weights)

    assert problems_by_rule(results) == {}
    assert {result.rule for result in results if result.skipped} == {*LOCKS, "whole"}


def test_every_rule_is_broken_by_some_tool():
    rules = {rule for rules, _ in BROKEN.values() for rule in rules.split()}

    # The locks of a container are broken in test_images.py, `whole` in test_steps.py by a tool that has steps.
    assert rules | {*LOCKS, "whole"} == {DESCRIBE[0], *(rule.id for rule in RULES)}
