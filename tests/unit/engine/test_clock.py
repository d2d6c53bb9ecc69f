"""Files of another time: a clock that was set back, a machine that was restored, a folder that was moved."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.engine import LIMITS, nothing, plan, run

from coordinator.engine import snakemake
from coordinator.engine.locks import hold_lock
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
    planned = plan(nothing("a"), nothing("b", "a"))
    first, later = steps.marker_file(tmp_path, "toy/a"), time.time() + 3600
    with ExitStack() as held:
        second = held.enter_context(hold_lock(steps.lock_file(tmp_path, "toy/b"), on_busy=pytest.fail))

        def set_back() -> None:
            """As if the clock had been an hour ahead when the first step ended; the second one has begun, and waits."""
            if second and "toy/b: waiting" in read_log(tmp_path):
                os.utime(first, (later, later))
                held.close()

        todo = snakemake.write_plan(tmp_path, planned)
        failures = snakemake.run_steps(tmp_path, planned, todo, LIMITS, set_back)

    assert failures == {}
    assert first.stat().st_mtime == pytest.approx(later, abs=1)
    assert all(steps.is_done(tmp_path, step) for step in planned.steps)


def read_log(run: Path) -> str:
    """What the engine and its steps have printed."""
    return "".join(log.read_text(encoding="utf-8") for log in run.rglob("snakemake.log") if log.is_file())
