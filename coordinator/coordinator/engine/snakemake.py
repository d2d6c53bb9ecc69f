"""Driving Snakemake: one run of a study from its first step that is not done to its last.

    lock the run folder ─► write plan.json ─► remove markers out of date ─► snakemake ─► failures.json

Snakemake is a child process that dies with its coordinator. The steps that it started live on and finish, each holding
its own lock, so that the next run finds their results or waits for them.
"""

import ctypes
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from contract import atomic, statefiles
from contract.errors import Stopped, UsageError
from coordinator.engine import inputs, outputs
from coordinator.engine.events import EVENTS, EventReader, failed_jobs, prepare_events
from coordinator.engine.locks import hold_lock
from coordinator.engine.places import Place
from coordinator.engine.todo import find_dependents, find_todo
from coordinator.runners.environment import child_environment
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

FAILURES = "failures.json"
TODO = ".todo"
KILLED = "its process ended without a reason, as where memory is used up; snakemake.log may say more"
MOST_LAST_LINES = 20
"""What Snakemake prints, at most, between the signal and its end; earlier lines may be of another run."""
_PR_SET_PDEATHSIG = 1


@contextmanager
def lock_run_folder(run: Path) -> Iterator[None]:
    """Hold a run folder, so that one coordinator at a time runs its study.

    Raises:
        UsageError: another coordinator holds it.
    """

    def refuse(holder: str) -> None:
        raise UsageError(
            f"{run}: one coordinator at a time can run a study, but {holder} is running it; "
            "wait for it, follow it with `coordinator status`, or stop it"
        )

    with hold_lock(run / ".lock", on_busy=refuse):
        yield


def write_plan(
    run: Path, plan: Plan, say: Callable[[str], None] = lambda line: None, *, verify: bool = False
) -> list[Step]:
    """Write the plan and the case lists, remove markers that are out of date, and return the steps that are to do.

    Args:
        run: the run folder.
        plan: of the study.
        say: called with a line for each file that is no longer as its step wrote it.
        verify: read every file; otherwise only those of another size or time.
    """
    (run / steps.MARKERS).mkdir(exist_ok=True)
    prepare_events(run)
    _forget_engine(run)
    for dataset, cases in plan.about["cases"].items():
        folder = steps.dataset_folder(dataset)
        for place, split in {folder: None, **steps.read_splits(plan.about, dataset)}.items():
            _write_split(run / place / "split", cases, split)
    _write_if_changed(run / steps.PLAN, steps.plan_text(plan))
    found = find_todo(run, plan, outputs.always if verify else outputs.never, mend=True)
    for line in found.lines():
        say(line)
    for step in found.steps:
        steps.read_marker(run, step.id, statefiles.say)
        statefiles.remove(steps.marker_file(run, step.id))
        if step.id in found.retried:
            outputs.forget(run, step)
    return list(found.steps)


def _forget_engine(run: Path) -> None:
    """Remove what Snakemake keeps for itself, whatever it is: nothing of it is needed again."""
    folder = run / ".snakemake"
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    folder.unlink(missing_ok=True)


def run_steps(
    run: Path,
    plan: Plan,
    todo: list[Step],
    place: Place,
    watch: Callable[[], None],
    looked_at: Sequence[Step] | None = None,
) -> dict[str, str]:
    """Do steps, as many at once as their place allows.

    Args:
        run: the run folder, with the plan written.
        plan: of the study.
        todo: steps that are not done.
        place: where they run.
        watch: called about five times a second while steps run.
        looked_at: steps that are done again if what they read has changed; all of `find_looked_at` when None.

    Returns:
        step id -> reason, for each step that failed or that needs one that failed.
    """
    for file in steps.state_files(run, ".failed"):
        statefiles.remove(file)
    killed: set[str] = set()
    inputs.take_changed(run)
    if todo:
        looked_at = find_looked_at(run, plan, todo) if looked_at is None else looked_at
        for step in looked_at:
            statefiles.remove(steps.marker_file(run, step.id))
        atomic.write_text(run / TODO, "\n".join(step.id for step in [*todo, *looked_at]) + "\n")
        killed = _run_snakemake(run, place, watch)
        for step in looked_at:
            if not steps.is_done(run, step) and (record := outputs.find_current(run, step)):
                outputs.write_marker(run, step, record)
    failures = _find_failures(run, plan, killed)
    atomic.write_json(run / FAILURES, {"steps": failures})
    return failures


def find_looked_at(run: Path, plan: Plan, todo: list[Step]) -> list[Step]:
    """Steps that are done, and are done again only if those that they need come out with other bytes."""
    return [step for step in find_dependents(plan, todo) if steps.is_done(run, step)]


def _find_failures(run: Path, plan: Plan, killed: set[str]) -> dict[str, str]:
    """Step id -> reason, for each step that is not done; `killed` are those whose process ended with an error."""
    reasons: dict[str, str] = {}
    for step in plan.steps:
        if steps.is_done(run, step):
            continue
        if reason := steps.read_failure(run, step.id) or (KILLED if step.id in killed else None):
            reasons[step.id] = reason
            continue
        missing = next((needed for needed in step.needs if needed in reasons), None)
        reasons[step.id] = f"not run, because {missing} was not done" if missing else "not run"
    return reasons


def _run_snakemake(run: Path, place: Place, watch: Callable[[], None]) -> set[str]:
    """Run Snakemake to its end; returns the steps whose process ended with an error.

    Raises:
        Stopped: something killed Snakemake.
        UsageError: it did not get as far as to start a step.
    """
    command = [
        sys.executable, "-P", "-m", "snakemake", "--snakefile", str(Path(__file__).with_name("Snakefile")),
        *place.engine_options(), "--scheduler", "greedy", "--keep-going",
        "--ignore-incomplete", "--nolock", "--drop-metadata", "--rerun-triggers", "input", "--workflow-profile", "none",
        "--logger", "coordinator", "--logger-coordinator-events", EVENTS,
    ]  # fmt: skip
    log = run / "snakemake.log"
    statefiles.remove_unless_file(log)
    own = run / ".snakemake"
    own.mkdir()
    places = {"XDG_CACHE_HOME": str(own / "cache"), "XDG_CONFIG_HOME": str(own / "config")}
    events = EventReader(run / EVENTS)
    events.skip()
    with log.open("a", encoding="utf-8") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=run,
            env=child_environment(own) | places, start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            while child.poll() is None:
                watch()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
        except BaseException as error:
            child.send_signal(signal.SIGKILL)
            child.wait()
            place.stop(run, asked=isinstance(error, KeyboardInterrupt))
            raise
    watch()
    killed = failed_jobs(events.read())
    silent = not killed and not steps.state_files(run, ".failed")
    if child.returncode < 0 or (child.returncode and silent):
        _refuse_without_steps(run, log, child.returncode)
    return killed


def _refuse_without_steps(run: Path, log: Path, code: int) -> None:
    """Say why Snakemake ended before any step failed."""
    if code < 0:
        raise Stopped(
            f"{run}: the workflow engine was killed (signal {-code}); steps that it had started go on by themselves, "
            "and the next run goes on from here"
        )
    room = run / ".room"
    atomic.write_bytes(room, bytes(100_000))  # a full disk is the usual cause, and says so here
    room.unlink()
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any("Will exit after finishing currently running jobs" in line for line in lines[-MOST_LAST_LINES:]):
        raise Stopped(f"{run}: the workflow engine was asked to stop (SIGTERM); the next run goes on from here")
    tail = "\n".join(lines[-5:])
    raise UsageError(
        f"{log}: Snakemake must run, but ended with exit code {code} before any step failed; its last lines:\n{tail}"
    )


def _die_with_parent() -> None:
    """Ask Linux, in the child, for SIGKILL when the parent dies, however it dies."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _write_split(folder: Path, cases: list[str], split: Mapping[str, Any] | None) -> None:
    """Write the cases that tools do: `all.txt`, and with training `train.txt`, `holdout.txt`, `split.json`."""
    if not folder.is_dir():
        statefiles.remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"all.txt": "".join(f"{case}\n" for case in cases)}
    if split is not None:
        content |= {f"{part}.txt": "".join(f"{case}\n" for case in split[part]) for part in ("train", "holdout")}
        content["split.json"] = json.dumps(split, indent=1) + "\n"
    for name, text in content.items():
        _write_if_changed(folder / name, text)
    for file in set(folder.glob("*")) - {folder / name for name in [*content, "run.json"]}:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    # A step that reads this folder depends on the split alone, not on the list of all cases.
    _write_if_changed(folder / "run.json", json.dumps({"source": "split of the study", "outputs": split or {}}) + "\n")


def _write_if_changed(path: Path, text: str) -> None:
    told: list[str] = []
    if statefiles.read(path, lambda content: content, told.append) != text.encode():
        atomic.write_text(path, text)
