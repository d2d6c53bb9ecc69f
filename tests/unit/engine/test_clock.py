"""Files of another time: a clock that was set back, a machine that was restored, a folder that was moved."""

import os
import time
from pathlib import Path

import pytest
from helpers.engine import nothing, plan, run

from coordinator.engine import execute
from coordinator.study import steps

YEAR_S = 365 * 86400


def set_times(folder: Path, when: float) -> None:
    """Give a time to everything below a folder."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (when, when), follow_symlinks=False)


@pytest.mark.parametrize("ahead_s", [60, 10 * YEAR_S, -time.time()], ids=["60 s ahead", "10 years ahead", "in 1970"])
def test_what_is_done_counts_whatever_the_time_of_its_files_and_what_is_not_is_done(tmp_path: Path, ahead_s: float):
    run(tmp_path, plan(nothing("a"), nothing("b", "a"), nothing("c", "b")))
    set_times(tmp_path, time.time() + ahead_s)

    ran = run(tmp_path, plan(nothing("a"), nothing("b", "a", fingerprint="2"), nothing("c", "b", fingerprint="2")))

    assert ran == (["toy/b", "toy/c"], {})


def test_a_clock_that_is_set_back_between_two_steps_spoils_neither(tmp_path: Path):
    first, second = nothing("a"), nothing("b", "a")
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(first, second)))
    execute.execute(tmp_path, first.id)
    later = time.time() + 3600
    os.utime(steps.marker_file(tmp_path, first.id), (later, later))

    execute.execute(tmp_path, second.id)

    times = [steps.marker_file(tmp_path, step.id).stat().st_mtime_ns for step in (first, second)]
    assert times[1] >= times[0]  # Snakemake removes a marker that is older than one that its step needs
    assert all(steps.is_done(tmp_path, step) for step in (first, second))
