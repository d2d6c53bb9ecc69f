"""A plan and its steps."""

import pytest

from contract.errors import UsageError
from coordinator.study.steps import Plan, Step


def test_a_step_that_the_plan_has_not_is_named():
    step = Step(id="word/2-labels/base", kind="base", output="x", dataset="word", label_version="base", fingerprint="x")
    plan = Plan("word-study", "data", None, (step,), {})

    assert plan.step("word/2-labels/base") is step
    with pytest.raises(UsageError, match="word-study: the plan has no step 'word/2-labels/bas'; `coordinator plan`"):
        plan.step("word/2-labels/bas")
