"""A plan and its steps."""

from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.study.steps import Plan, Step, is_done, marker_file, parse_step


def test_a_step_that_the_plan_has_not_is_named():
    step = Step(
        id="word/2-labels/base", kind="labels", output="x", dataset="word", label_version="base", fingerprint="x"
    )
    plan = Plan("word-study", "data", None, (step,), {})

    assert plan.step("word/2-labels/base") is step
    with pytest.raises(UsageError, match="word-study: the plan has no step 'word/2-labels/bas'; `coordinator plan`"):
        plan.step("word/2-labels/bas")


def test_a_step_with_several_outputs_is_done_when_all_of_them_are_there(tmp_path: Path):
    step = Step(
        id="word/3-scores/v", kind="score", output="v.parquet", dataset="word", label_version="v", fingerprint="x",
        also=("shells/v.parquet",),
    )  # fmt: skip
    marker = marker_file(tmp_path, step.id)
    marker.parent.mkdir(parents=True)
    marker.write_text('{"fingerprint": "x"}')
    (tmp_path / "v.parquet").touch()
    before = is_done(tmp_path, step)

    (tmp_path / "shells").mkdir()
    (tmp_path / "shells/v.parquet").touch()

    assert (before, is_done(tmp_path, step)) == (False, True)


def test_a_step_of_a_plan_without_further_outputs_has_none():
    record = Step(id="a", kind="labels", output="x", dataset="word", label_version="base", fingerprint="x")._asdict()
    del record["also"]

    assert parse_step(record).also == ()
