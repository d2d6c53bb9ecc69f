"""How the chance of an error is shared out over a report."""

import pytest
from helpers.knownruns import make_run

from coordinator.results.load import load_run
from coordinator.verdict.testplan import TestPlan, make_test_plan


def test_all_parts_add_up_to_alpha():
    plan = TestPlan(0.05, verdicts=14, tests=2)
    organs, steps = 13, 3

    errors = [
        (1 - plan.confidence)
        + organs * (1 - plan.inner_confidence(organs))
        + steps * (1 - plan.inner_confidence(steps))
        for _ in range(14)
    ]

    assert sum(errors) + 2 * plan.share == pytest.approx(0.05)


def test_the_plan_counts_what_the_study_set_out_to_compare(tmp_path):
    run = make_run(tmp_path / "run", held_out=5)
    (run / "datasets/word/6-predictions/twin/seed-0/scores.parquet").unlink()

    plan = make_test_plan(load_run(run))

    # Three versions in-domain and on one target; pre-training against none; too few versions for a correlation.
    assert (plan.verdicts, plan.tests) == (6, 1)
