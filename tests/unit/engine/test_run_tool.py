"""Which tool a step runs: one with sources here, or the foreign image that the plan holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.added import ID, OTHER_ID, make_added, make_manifest

from contract.errors import UsageError
from coordinator.engine.run_tool import _find_tool
from coordinator.study.steps import ADDED_TOOLS, Plan


def plan_with(kept: Any) -> Plan:
    return Plan("toy", "data", None, (), {ADDED_TOOLS: kept} if kept is not None else {})


def as_json(added: Any) -> Any:
    return json.loads(added.model_dump_json())


def test_a_step_runs_the_image_that_it_names_and_no_other_of_the_plan(tmp_path: Path):
    newer = make_added("lab/seg:2", id=OTHER_ID, manifest=make_manifest(version="3.0.0"))
    plan = plan_with({"mine": as_json(make_added()), "newer": as_json(newer)})

    tool = _find_tool(tmp_path, plan, "brightness", OTHER_ID)

    assert (tool.added, tool.manifest.version) == (newer, "3.0.0")


def test_a_step_without_an_image_runs_a_tool_of_ours(tmp_path: Path):
    assert _find_tool(tmp_path, plan_with(None), "degrade", None).added is None


@pytest.mark.parametrize(
    "kept",
    [None, {}, [], {"mine": None}, {"mine": {"id": ID}}, {"mine": as_json(make_added(id=OTHER_ID))}],
)
def test_a_plan_that_does_not_hold_the_image_is_one_clear_message(kept: Any, tmp_path: Path):
    with pytest.raises(
        UsageError, match=rf"plan.json: must hold what is kept of brightness \({ID}\), .* writes it again"
    ):
        _find_tool(tmp_path, plan_with(kept), "brightness", ID)
