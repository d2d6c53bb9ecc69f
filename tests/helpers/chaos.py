"""A study in trouble: a trial starts it, lets a fault strike at a random moment, mends the cause, and runs it once more."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.needs import skip_or_fail
from helpers.ownengine import OwnEngine
from helpers.standins import STANDINS
from helpers.studies import COORDINATOR

from coordinator.datasets.phantom import make_phantom
from coordinator.engine import outputs
from coordinator.study import steps

STUDY = """
name: chaos
data: data
weights: weights
datasets: [phantom]
generators: [GENERATOR]
TRAINING
run: {runtime: RUNTIME, threads: 1, retries: 0}
"""
DEGRADE, STUNET = "{name: degraded-70, tool: degrade, options: {target-dice: 0.7}}", "stunet-small"
TRAINING = 'train: {epochs: 3, batches_per_epoch: 4, patch: "16,16,8", filters: "4,8,16", holdout: 0.4, seeds: [0]}'
STUDIES = {"light": (3, DEGRADE, ""), "training": (5, DEGRADE, TRAINING), "weights": (2, STUNET, "")}
"""Kind -> number of cases, label version, networks."""
HANGS_S = 300
"""A run that takes longer hangs."""

Finished = dict[str, dict[str, tuple[int, int]]]
"""Step -> its output files -> inode and time."""


def write_study(folder: Path, kind: str, runtime: str = "process") -> Path:
    """Write a study file with its data and weights."""
    cases, generator, training = STUDIES[kind]
    folder.mkdir(parents=True)
    make_phantom(folder / "data" / "phantom", cases=cases, shape=(32, 28, 12))
    shutil.copytree(STANDINS / "stunet", folder / "weights" / "stunet")
    text = STUDY.replace("GENERATOR", generator).replace("TRAINING", training).replace("RUNTIME", runtime)
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


@dataclass(frozen=True)
class Calm:
    """An undisturbed run. Trials take place in its folder, since results hold paths.

    Attributes:
        study: the study file, beside which data and weights lie.
        contents: file -> bytes of its run folder.
        seconds: that it took.
    """

    study: Path
    contents: dict[str, bytes]
    seconds: float

    def lay_out(self) -> Path:
        """Lay the study out as it was before any trial; returns the study file."""
        kept = self.study.parent.with_name(f"{self.study.parent.name}-kept")
        if not kept.exists():
            shutil.rmtree(self.study.parent / "runs")
            shutil.copytree(self.study.parent, kept)
        shutil.rmtree(self.study.parent)
        shutil.copytree(kept, self.study.parent)
        (self.study.parent / "runs").mkdir()
        return self.study


MakeCalm = Callable[[str, OwnEngine | None], Calm]
"""Kind of study, engine of its tools -> its undisturbed run."""


def mount_disk(folder: Path) -> Callable[[], object]:
    """Mount a small disk of its own on a folder; returns what takes it away."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=False).returncode:
        skip_or_fail("disks can't be mounted here")
    return lambda: subprocess.run(["umount", "-l", folder], check=True)


COLUMNS = ("trials", "struck", "ended the run", "steps lost", "identical")
"""Of the table of trials."""


def tabulate(trials: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The table of trials by fault, as Markdown; nothing where there was none."""
    counts: dict[str, Counter[str]] = {}
    for trial in trials:
        counts.setdefault(trial["fault"], Counter()).update({column: int(trial.get(column, 0)) for column in COLUMNS})
    if not counts:
        return
    yield "| fault | " + " | ".join(COLUMNS) + " |"
    yield "| --- |" + " --: |" * len(COLUMNS)
    for fault, row in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        yield f"| {fault} | " + " | ".join(str(row[column]) for column in COLUMNS) + " |"


def find_lost(before: Finished, after: Finished, *, times: bool) -> list[str]:
    """Steps whose files are no longer those that were there; without times, files are told by their inodes alone."""

    def look(files: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        return {file: (inode, time_ns if times else 0) for file, (inode, time_ns) in files.items()}

    return [step for step, files in before.items() if look(after.get(step, {})) != look(files)]


class Trial:
    """One study in a folder of its own, which a fault strikes once.

    Attributes:
        folder: with `study.yaml`, `data` and `weights`.
        run: the run folder.
        random: chooses moments and victims; the same ones for the same number of the trial.
        engine: that its tools run in; None where they are processes.
        notes: what the fault chose.
    """

    def __init__(self, study: Path, number: str, engine: OwnEngine | None = None) -> None:
        self.folder, self.study, self.engine = study.parent, study, engine
        self.run = study.parent / "runs" / "chaos"
        self.random = random.Random(number)  # noqa: S311 - nothing secret
        self.environment = engine.environment if engine else {}
        self.printed = self.folder / "printed.txt"
        self.notes: list[str] = []
        self.coordinator = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start `coordinator run`, as from a terminal: what a shell starts in the background ignores SIGINT."""
        with self.printed.open("ab") as stream:
            return subprocess.Popen(
                [COORDINATOR, "run", self.study], stdout=stream, stderr=stream, env=os.environ | self.environment,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Wait for the run's end; its exit code, and what it printed."""
        code = self.coordinator.wait(HANGS_S)
        return code, self.printed.read_text(errors="replace")

    def run_again(self) -> tuple[int, str]:
        """Wait for steps that outlived their coordinator as a user does, by running it once more."""
        self.printed.unlink()
        self.coordinator = self.start()
        return self.end()

    def note(self, what: str) -> None:
        """Keep what a fault chose, for who reads a failed trial."""
        self.notes.append(what)

    def wait(self, calm_s: float, latest: float) -> None:
        """Let a random part of the time pass that an undisturbed run takes, at most `latest`."""
        until = time.monotonic() + self.random.uniform(0.02, latest) * calm_s
        while time.monotonic() < until and self.coordinator.poll() is None:
            time.sleep(0.02)

    def find(self, role: str) -> list[int]:
        """Processes of a role: "coordinator", "snakemake", "step", "tool"."""
        return [process for process in self._processes() if self._role(process) == role]

    def wait_for(self, role: str) -> int | None:
        """Wait until there is a process of a role; None where the run ends before."""
        while self.coordinator.poll() is None:
            if found := self.find(role):
                return self.random.choice(found)
            time.sleep(0.02)
        return None

    def wait_for_container(self) -> str | None:
        """Wait until a tool's container has run for a random while; None where it or the run ends before."""
        assert self.engine is not None
        while self.coordinator.poll() is None:
            if self.engine.running():
                time.sleep(self.random.uniform(0, 2))
                return next(iter(self.engine.running()), None)
            time.sleep(0.02)
        return None

    def _processes(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                yield int(entry.name)

    def _role(self, process: int) -> str:
        if process == self.coordinator.pid:
            return "coordinator"
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
            here = Path(f"/proc/{process}/cwd").readlink() == self.run
            if here and "snakemake" in words and "--jobs" not in words:
                parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
                return "snakemake" if int(parent) == self.coordinator.pid else ""
            if here and "coordinator.engine.execute" in words:
                return "step"
            if any(word.endswith("/tool.py") for word in words) and any(str(self.run) in word for word in words):
                return "tool"
        return ""

    def finished(self) -> Finished:
        """The steps that are done, and their files."""
        with suppress(Exception):  # no plan yet, or a damaged one
            plan = steps.read_plan(self.run)
            done = {
                step.id: outputs.read_record(self.run, step.id) for step in plan.steps if steps.is_done(self.run, step)
            }
            return {step_id: self._stamp(record) for step_id, record in done.items() if record is not None}
        return {}

    def _stamp(self, record: outputs.Record) -> dict[str, tuple[int, int]]:
        """Inode and time of the files that a step wrote; another one's may lie in the same folder."""
        found = {}
        for file in record.files:
            with suppress(OSError):
                about = (self.run / file).stat()
                found[file] = (about.st_ino, about.st_mtime_ns)
        return found

    def results(self) -> list[Path]:
        """The label maps and scores that are there."""
        return sorted(
            file for file in (self.run / "datasets").rglob("*")
            if file.suffix in {".gz", ".parquet"} and file.is_file() and ".part" not in str(file)
        )  # fmt: skip
