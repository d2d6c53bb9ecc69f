"""Driving Snakemake: one run of a study from its first step that is not done to its last.

    lock the run folder ─► write plan.json ─► remove markers out of date ─► snakemake ─► failures.json

Snakemake is a child process that dies with its coordinator. The steps that it started live on and finish, each holding
its own lock, so that the next run finds their results or waits for them.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import atomic
from contract.errors import UsageError
from coordinator.engine import inputs, outputs
from coordinator.engine.locks import hold_lock, lock_holder
from coordinator.engine.todo import find_dependents, find_todo
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

EVENTS = "events.jsonl"
FAILURES = "failures.json"
TODO = f"{steps.MARKERS}/todo"
_PR_SET_PDEATHSIG = 1


@contextmanager
def lock_run_folder(run: Path) -> Iterator[None]:
    """Hold a run folder, so that one coordinator at a time runs its study.

    Raises:
        UsageError: another coordinator holds it.
    """

    def refuse(holder: str) -> None:
        raise UsageError(
            f"{run}: one coordinator at a time can run a study, but process {holder} is running it; "
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
    for dataset, cases in plan.about["cases"].items():
        _write_split(run, dataset, cases, plan.about.get("split", {}).get(dataset))
    _write_if_changed(run / steps.PLAN, steps.plan_text(plan))
    found = find_todo(run, plan, outputs.always if verify else outputs.never, mend=True)
    for line in found.lines():
        say(line)
    for step in found.steps:
        steps.marker_file(run, step.id).unlink(missing_ok=True)
    return list(found.steps)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use.

    Attributes:
        cores: CPU cores at once.
        gpus: GPUs at once.
        retries: how often a failed step is tried again.
    """

    cores: int
    gpus: int
    retries: int


def run_steps(run: Path, plan: Plan, todo: list[Step], limits: Limits, watch: Callable[[], None]) -> dict[str, str]:
    """Do steps, as many at once as the machine allows.

    Args:
        run: the run folder, with the plan written.
        plan: of the study.
        todo: steps that are not done; those that depend on them are done again if what they read has changed.
        limits: what they may use.
        watch: called about five times a second while steps run.

    Returns:
        step id -> reason, for each step that failed or that needs one that failed.
    """
    for file in (run / steps.MARKERS).rglob("*.failed"):
        file.unlink()
    inputs.take_changed(run)
    if todo:
        looked_at = find_looked_at(run, plan, todo)
        for step in looked_at:
            steps.marker_file(run, step.id).unlink()
        atomic.write_text(run / TODO, "\n".join(step.id for step in [*todo, *looked_at]) + "\n")
        _run_snakemake(run, limits, watch)
    failures = _find_failures(run, plan)
    atomic.write_json(run / FAILURES, {"steps": failures})
    return failures


def find_looked_at(run: Path, plan: Plan, todo: list[Step]) -> list[Step]:
    """Steps that are done, and are done again only if those that they need come out with other bytes."""
    return [step for step in find_dependents(plan, todo) if steps.is_done(run, step)]


def _find_failures(run: Path, plan: Plan) -> dict[str, str]:
    """Step id -> reason, for each step that is not done."""
    reasons: dict[str, str] = {}
    for step in plan.steps:
        if steps.is_done(run, step):
            continue
        with suppress(OSError):
            reasons[step.id] = steps.failure_file(run, step.id).read_text(encoding="utf-8").strip()
            continue
        missing = next((needed for needed in step.needs if needed in reasons), None)
        reasons[step.id] = f"not run, because {missing} was not done" if missing else "not run"
    return reasons


def _stop_steps(run: Path) -> None:
    """Send SIGTERM to every step of a run folder that is running."""
    for file in (run / steps.MARKERS).rglob("*.lock"):
        holder = lock_holder(file)
        if holder is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(holder, signal.SIGTERM)


def _run_snakemake(run: Path, limits: Limits, watch: Callable[[], None]) -> None:
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).with_name("Snakefile")),
        "--directory", str(run), "--config", f"plan={run / steps.PLAN}", f"todo={run / TODO}",
        "--cores", str(limits.cores), "--resources", f"gpu={limits.gpus}", f"mem_mb={_memory_mb()}",
        "--scheduler", "greedy", "--keep-going", "--retries", str(limits.retries),
        "--ignore-incomplete", "--nolock", "--drop-metadata", "--rerun-triggers", "input",
        "--latency-wait", "0", "--logger", "coordinator", "--logger-coordinator-events", str(run / EVENTS),
    ]  # fmt: skip
    log = run / "logs" / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(run / ".snakemake" / "cache")}
    with log.open("a", encoding="utf-8") as stream:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=run, env=environment,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            while child.poll() is None:
                watch()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
        except BaseException:
            child.send_signal(signal.SIGKILL)
            child.wait()
            _stop_steps(run)
            raise
    watch()
    if child.returncode and not any((run / steps.MARKERS).rglob("*.failed")):
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise RuntimeError(f"{log}: Snakemake ended with exit code {child.returncode} before any step failed:\n{tail}")


def _die_with_parent() -> None:
    """Ask Linux, in the child, for SIGKILL when the parent dies, however it dies."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _memory_mb() -> int:
    """Memory of this machine; a step that needs more runs alone."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000


def _write_split(run: Path, dataset: str, cases: list[str], split: Mapping[str, Any] | None) -> None:
    """Write the cases that tools do: `all.txt`, and with training `train.txt`, `holdout.txt`, `split.json`."""
    folder = run / dataset / "split"
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
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic.write_text(path, text)
