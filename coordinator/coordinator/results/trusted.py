"""Which results of a run folder count: those that are as their steps wrote them, of all cases that were planned."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from coordinator.engine import outputs


def find_untrusted(run: Path, plan: Mapping[str, Any], failed_steps: Collection[str]) -> dict[str, str]:
    """Why outputs do not count, relative to the run folder: output -> reason; empty for those that count.

    Args:
        run: the run folder.
        plan: the content of its `plan.json`.
        failed_steps: steps that are not done; what lies at their place is of an earlier plan.
    """
    untrusted = {step["output"]: "" for step in plan.get("steps", ())}
    for step in plan.get("steps", ()):
        record = outputs.read_record(run, step["id"])
        if step["id"] in failed_steps:
            untrusted[step["output"]] = "the step was not done"
        elif record is not None:
            _, changes = outputs.find_changes(run, step["id"], record, outputs.read_by_report, save=False)
            for file, problem in changes.items():
                untrusted[step["output"]] = f"{file} {problem}; run the study again, which makes it again"
    return untrusted


def describe_unscored(
    scores: pl.DataFrame, planned: Collection[str] | None, failed: Collection[str], what: str
) -> list[str]:
    """A line where scores lack cases; none where all cases are scored that did not fail with a reason.

    Args:
        scores: of one label version or network, with the column case.
        planned: the cases that should be scored; None where the plan does not say.
        failed: cases that a tool recorded as failed; they are listed elsewhere.
        what: the scores, in words.
    """
    lost = sorted(set(planned or ()) - set(failed) - set(scores["case"].unique()))
    if not lost:
        return []
    return [f"{what} lack {len(lost)} of {len(set(planned or ()))} planned cases, with no reason: {', '.join(lost)}"]
