"""The engine on steps without work: real Snakemake, real locks, real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.engine import LIMITS, nothing, plan, run

from contract.errors import Stopped, UsageError
from coordinator.engine import locks, snakemake
from coordinator.study import steps
from coordinator.study.steps import Plan, Step


def test_steps_are_done_once_and_redone_when_their_fingerprint_changes(tmp_path: Path) -> None:
    first = run(tmp_path, plan(nothing("a"), nothing("b", "a"), nothing("c")))
    again = run(tmp_path, plan(nothing("a"), nothing("b", "a"), nothing("c")))
    other = run(tmp_path, plan(nothing("a"), nothing("b", "a", fingerprint="2"), nothing("c")))

    assert first == (["toy/a", "toy/b", "toy/c"], {})
    assert again == ([], {})
    assert other == (["toy/b"], {})


def test_a_step_whose_output_is_gone_is_done_again_and_nothing_else(tmp_path: Path) -> None:
    planned = plan(nothing("a"), nothing("b", "a"))
    run(tmp_path, planned)
    (tmp_path / "toy" / "a").rmdir()

    assert run(tmp_path, planned) == (["toy/a"], {})


def test_a_dataset_that_is_called_as_a_file_about_steps_is_run_as_any_other(tmp_path: Path) -> None:
    names = ("x.failed", "x.lock", "x.log", "todo", "report.json")
    planned = Plan("toy", "/nowhere", None, tuple(
        nothing("a")._replace(id=f"{name}/2-labels/a", output=f"datasets/{name}/2-labels/a") for name in names
    ), {"cases": {name: ["a"] for name in names}})  # fmt: skip

    first, again = run(tmp_path, planned), run(tmp_path, planned)

    assert first == ([f"{name}/2-labels/a" for name in names], {})
    assert again == ([], {})


def test_a_failed_step_stops_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    broken = nothing("a")._replace(kind="tool", tool="no-such-tool", runtime="process")

    todo, failed = run(tmp_path, plan(broken, nothing("b", "a"), nothing("c")))

    assert len(todo) == 3
    assert "there is no tool 'no-such-tool'" in failed["toy/a"]
    assert failed["toy/b"] == "not run, because toy/a was not done"
    assert list(failed) == ["toy/a", "toy/b"]
    assert json.loads((tmp_path / snakemake.FAILURES).read_text()) == {"steps": failed}


def test_a_mended_step_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    run(tmp_path, plan(nothing("a")._replace(kind="tool", tool="no-such-tool", runtime="process")))

    assert run(tmp_path, plan(nothing("a"))) == (["toy/a"], {})


def test_events_say_which_steps_ran(tmp_path: Path) -> None:
    run(tmp_path, plan(nothing("a"), nothing("b", "a")))

    events = [json.loads(line) for line in (tmp_path / snakemake.EVENTS).read_text().splitlines()]
    ran = [event["wildcards"]["id"] for event in events if event["event"] == "job_info" and "id" in event["wildcards"]]
    assert ran == ["toy/a", "toy/b"]
    assert [event["event"] for event in events].count("job_finished") == 3  # and the rule that asks for all


def test_two_coordinators_cannot_run_one_study(tmp_path: Path) -> None:
    with (
        snakemake.lock_run_folder(tmp_path),
        pytest.raises(UsageError, match="one coordinator at a time can run a study"),
    ):
        run(tmp_path, plan(nothing("a")))


def hold(folder: Path, step: Step) -> "subprocess.Popen[str]":
    """A process that holds a step's lock, as a tool does that outlived its coordinator."""
    program = (
        "import time; from pathlib import Path; from coordinator.engine.locks import hold_lock\n"
        f"with hold_lock(Path({str(steps.lock_file(folder, step.id))!r}), on_busy=print):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_a_step_waits_for_whoever_still_does_it_and_goes_on_when_that_dies(tmp_path: Path) -> None:
    step = nothing("a")
    (tmp_path / steps.MARKERS).mkdir()
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(step)))
    holder = hold(tmp_path, step)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "coordinator.engine.execute", str(tmp_path), step.id], stderr=subprocess.PIPE, text=True
    )
    assert waiting.stderr is not None
    message = waiting.stderr.readline()
    users = locks.find_users(steps.lock_file(tmp_path, step.id))
    holder.kill()
    holder.wait()

    assert f"(process {holder.pid})" in message
    assert users == {holder.pid, waiting.pid}
    assert waiting.wait(20) == 0
    waiting.stderr.close()
    assert steps.is_done(tmp_path, step)


def test_the_workflow_engine_dies_with_its_coordinator(tmp_path: Path) -> None:
    step = nothing("a")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / steps.MARKERS).mkdir()
    holder = hold(tmp_path / "run", step)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from coordinator.engine import snakemake; from coordinator.study.steps import read_plan\n"
        "from coordinator.engine.places import ThisMachine\n"
        "run = Path(sys.argv[2])\n"
        "with snakemake.lock_run_folder(run):\n"
        "    planned = read_plan(run); todo = snakemake.write_plan(run, planned)\n"
        "    snakemake.run_steps(run, planned, todo, ThisMachine(1, 0, 0), lambda: None)\n"
    )
    (tmp_path / "run" / steps.PLAN).write_text(steps.plan_text(plan(step)))
    coordinator = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(tmp_path / "run")])
    log = tmp_path / "run" / "snakemake.log"
    until(lambda: log.exists() and "waiting for an earlier run" in log.read_text())
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()

    until(lambda: not running("snakemake", tmp_path / "run"))
    assert running("coordinator.engine.execute", tmp_path / "run")  # the step lives on, and will do its work
    holder.kill()
    holder.wait()
    until(lambda: steps.is_done(tmp_path / "run", step))


def test_a_killed_engine_is_said_and_what_it_had_started_goes_on(tmp_path: Path) -> None:
    step = nothing("a")
    (tmp_path / steps.MARKERS).mkdir()
    holder = hold(tmp_path, step)
    log = tmp_path / "snakemake.log"

    def kill_engine() -> None:
        if log.exists() and "waiting for an earlier run" in log.read_text():
            subprocess.run(["pkill", "-KILL", "-P", str(os.getpid()), "-f", "snakemake"], check=False)

    todo = snakemake.write_plan(tmp_path, plan(step))
    with pytest.raises(Stopped, match=r"the workflow engine was killed \(signal 9\)"):
        snakemake.run_steps(tmp_path, plan(step), todo, LIMITS, kill_engine)

    holder.kill()
    holder.wait()
    until(lambda: steps.is_done(tmp_path, step))
    assert run(tmp_path, plan(step)) == ([], {})


def test_an_engine_that_is_asked_to_stop_lets_its_steps_end_and_says_so(tmp_path: Path) -> None:
    (tmp_path / steps.MARKERS).mkdir()
    first, second = nothing("a"), nothing("b", "a")
    holder = hold(tmp_path, first)
    log, asked = tmp_path / "snakemake.log", []

    def ask_engine() -> None:
        if not asked and log.exists() and "waiting for an earlier run" in log.read_text():
            asked.append(subprocess.run(["pkill", "-TERM", "-P", str(os.getpid()), "-f", "snakemake"], check=True))
        if asked and "Will exit after" in log.read_text():
            holder.kill()

    todo = snakemake.write_plan(tmp_path, plan(first, second))
    with pytest.raises(Stopped, match=r"the workflow engine was asked to stop \(SIGTERM\); the next run goes on"):
        snakemake.run_steps(tmp_path, plan(first, second), todo, LIMITS, ask_engine)

    holder.wait()
    assert steps.is_done(tmp_path, first)
    assert not steps.is_done(tmp_path, second)


def running(module: str, folder: Path) -> bool:
    """Whether a process that was started with `-m module` works in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            words = (process / "cmdline").read_bytes().split(b"\0")
            if module.encode() in words and (process / "cwd").resolve() == folder:
                return True
    return False


def until(condition: "object", seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_each_fold_has_its_lists_of_cases_and_generators_have_that_of_all(tmp_path: Path) -> None:
    folds = [{"train": ["a", "b"], "holdout": ["c"]}, {"train": ["c"], "holdout": ["a", "b"]}]
    planned = Plan("toy", "/nowhere", None, (), {"cases": {"toy": ["a", "b", "c"]}, "folds": {"toy": folds}})

    snakemake.write_plan(tmp_path, planned)

    folder = tmp_path / "datasets/toy"
    assert (folder / "split/all.txt").read_text() == "a\nb\nc\n"
    assert not (folder / "split/train.txt").exists()
    for number, fold in enumerate(folds):
        split = folder / f"folds/{number}/split"
        assert (split / "holdout.txt").read_text().split() == fold["holdout"]
        assert json.loads((split / "split.json").read_text()) == fold
