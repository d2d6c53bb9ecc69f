"""What strikes a study: each fault is done to a trial at a random moment, and undone before the last run."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers.chains import flip
from helpers.chaos import Trial
from helpers.damages import DAMAGES, replace_voxels
from helpers.studies import COORDINATOR

from contract.errors import ExitCode

Undo = Callable[[], object]
Strike = Callable[[Trial], Undo | None]
"""Does something to a trial; returns what undoes it, or None where there was nothing left to strike."""
STOPPED, PARTLY, USAGE, DONE = ExitCode.STOPPED, ExitCode.CASES_FAILED, ExitCode.USAGE, ExitCode.DONE
MINUTES = (1, 60, 60 * 24 * 365)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: as the table has it.
        strike: does it.
        codes: exit codes that the struck run may end with, beside 0 where the fault came too late to matter.
        cause: what is printed where the exit code isn't 0, as a regular expression.
        loses: whether it takes finished work away itself, as deleting does.
        touches: whether it changes times of files itself.
        latest: the latest moment to wait for it, as a part of the whole run; what it needs may be gone after that.
        needs: "mount" for a disk of its own, "docker" for containers, "weights" for a study with weights.
    """

    name: str
    strike: Strike
    codes: frozenset[int] = frozenset()
    cause: str = ""
    loses: bool = False
    touches: bool = False
    latest: float = 0.95
    needs: str = ""

    def is_named_in(self, printed: str) -> bool:
        """Whether what was printed tells the cause."""
        return re.search(self.cause, printed) is not None


def done_nothing() -> None:
    """Undo what needs no undoing."""


def send(role: str, number: signal.Signals) -> Strike:
    """A signal for a process of a role."""

    def strike(trial: Trial) -> Undo | None:
        process = trial.wait_for(role)
        if process is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(process, number)
        return done_nothing

    return strike


def take_memory(trial: Trial) -> Undo | None:
    """Let a tool's process have no more memory than it has, so that its next large array is refused."""
    process = trial.wait_for("tool")
    if process is None:
        return None
    with suppress(OSError):
        time.sleep(trial.random.uniform(0, 1))
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + 1_000_000
        resource.prlimit(process, resource.RLIMIT_AS, (room, room))
    return done_nothing


def start_second(trial: Trial) -> Undo | None:
    """Run the study a second time while it runs; the second one must be refused, and name the first."""
    second = subprocess.run([COORDINATOR, "run", trial.study], capture_output=True, text=True, check=False)
    if trial.coordinator.poll() is not None:
        return None
    assert second.returncode == USAGE, second
    assert "one coordinator at a time can run a study" in second.stderr, second
    return done_nothing


def fill_disk(trial: Trial) -> Undo | None:
    """Leave no room on the disk of the run folder."""
    filler = trial.run.parent / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return filler.unlink


def make_read_only(trial: Trial) -> Undo | None:
    """Mount the disk of the run folder for reading only, as a kernel does after errors."""
    remount = ["mount", "-o", "remount", trial.run.parent]
    while trial.coordinator.poll() is None:  # refused while a file is open for writing
        if not subprocess.run([*remount, "-o", "ro"], capture_output=True, check=False).returncode:
            return lambda: subprocess.run([*remount, "-o", "rw"], check=True)
        time.sleep(0.01)
    return None


def remove_run_folder(trial: Trial) -> Undo | None:
    """Delete all results, as somebody does who makes room."""
    if not trial.run.exists():
        return None
    shutil.rmtree(trial.run, ignore_errors=True)
    return done_nothing


def shift_clock(direction: int) -> Strike:
    """Make all files look as if the clock were wrong; a time-travelling clock leaves nothing else behind."""

    def strike(trial: Trial) -> Undo | None:
        shift = direction * 60 * 10**9 * trial.random.choice(MINUTES)
        for file in [*trial.run.rglob("*"), *trial.folder.glob("data/**/*")]:
            with suppress(OSError):
                about = file.stat()
                os.utime(file, ns=(about.st_atime_ns + shift, about.st_mtime_ns + shift))
        return done_nothing

    return strike


def swap_weights(trial: Trial) -> Undo | None:
    """Put another network's weights in the place of those that are used, while they are."""
    file = next(trial.folder.glob("weights/stunet/*small*"))
    kept = file.read_bytes()
    other = next(path for path in file.parent.iterdir() if path.read_bytes() != kept)
    file.write_bytes(other.read_bytes())
    return lambda: file.write_bytes(kept)


def replace_image(trial: Trial) -> Undo | None:
    """Put another scan in the place of one, while it is read."""
    return _replace(trial, "images", lambda voxels: voxels + np.int16(5))


def replace_labels(trial: Trial) -> Undo | None:
    """Draw reference labels anew, while they are read."""
    return _replace(trial, "labels", lambda voxels: np.roll(voxels, 1, axis=0))


def _replace(trial: Trial, kind: str, change: Callable[[np.ndarray], np.ndarray]) -> Undo:  # type: ignore[type-arg]
    file = trial.random.choice(sorted((trial.folder / "data/phantom" / kind).glob("*.nii.gz")))
    kept = replace_voxels(file, change)
    return lambda: file.write_bytes(kept)


def damage_state(trial: Trial) -> Undo | None:
    """Damage a file that the study keeps for itself, while it runs."""
    files = [
        file for file in trial.run.rglob("*")
        if file.is_file() and file.suffix in {".json", ".jsonl", ".txt", ".yaml"} and ".part" not in str(file)
        and ".snakemake" not in file.parts and "report" not in file.parts
    ]  # fmt: skip
    if not files:
        return None
    file, damage = trial.random.choice(sorted(files)), trial.random.choice(sorted(DAMAGES))
    trial.note(f"{file.relative_to(trial.run)}: {damage}")
    with suppress(OSError):
        DAMAGES[damage](file)
    return done_nothing


def at_rest(strike: Strike) -> Strike:
    """Stop the run first, so that its next one finds what the fault left."""

    def strike_stopped(trial: Trial) -> Undo | None:
        trial.coordinator.send_signal(signal.SIGTERM)
        trial.coordinator.wait()
        undo = strike(trial)
        trial.coordinator = trial.start()
        return undo

    return strike_stopped


def delete_result(trial: Trial) -> Undo | None:
    """Delete a label map or scores."""
    return _strike_result(trial, Path.unlink)


def flip_result(trial: Trial) -> Undo | None:
    """Flip bits at the end of a label map or of scores."""
    return _strike_result(trial, lambda file: file.write_bytes(flip(file)))


def _strike_result(trial: Trial, change: Callable[[Path], object]) -> Undo | None:
    files = trial.results()
    if not files:
        return None
    file = trial.random.choice(files)
    trial.note(str(file.relative_to(trial.run)))
    with suppress(OSError):
        change(file)
    return done_nothing


def kill_container(trial: Trial) -> Undo | None:
    """Kill a tool's container behind its runner's back."""
    assert trial.engine is not None
    container = trial.wait_for_container()
    if container is None:
        return None
    trial.engine.ask("kill", container)
    return done_nothing


def stop_engine(trial: Trial) -> Undo | None:
    """Stop the Docker engine while a container runs, with or without its leave."""
    assert trial.engine is not None
    if trial.wait_for_container() is None:
        return None
    trial.engine.stop(trial.random.choice([signal.SIGTERM, signal.SIGKILL]))
    return trial.engine.start_again


_ENGINE_GONE = r"(?i)docker|engine|container|exit code"
_KILLED = re.escape("its process ended without a reason") + r"|exit code|killed|signal"
_MEMORY = r"(?i)memory|allocat|exit code|killed|signal"
_CHANGED = r"was replaced|were replaced|is not the one|changed|must|differ|sha256"
FAULTS = (
    Fault("kill -9 of the coordinator", send("coordinator", signal.SIGKILL), frozenset({-9})),
    Fault("SIGTERM to the coordinator", send("coordinator", signal.SIGTERM), frozenset({STOPPED, -15}), "interrupted; the next run goes on"),
    Fault("SIGINT to the coordinator", send("coordinator", signal.SIGINT), frozenset({STOPPED, -2}), "interrupted; the next run goes on"),
    Fault("kill -9 of Snakemake", send("snakemake", signal.SIGKILL), frozenset({STOPPED}), "workflow engine was killed"),
    Fault("SIGTERM to Snakemake", send("snakemake", signal.SIGTERM), frozenset({STOPPED, PARTLY}), "engine was asked to stop|not run"),
    Fault("kill -9 of a step", send("step", signal.SIGKILL), frozenset({PARTLY}), _KILLED),
    Fault("SIGTERM to a step", send("step", signal.SIGTERM), frozenset({PARTLY}), _KILLED),
    Fault("kill -9 of a tool", send("tool", signal.SIGKILL), frozenset({PARTLY}), _KILLED, latest=0.3),
    Fault("SIGTERM to a tool", send("tool", signal.SIGTERM), frozenset({PARTLY}), "stopped|" + _KILLED, latest=0.3),
    Fault("a tool's memory is used up", take_memory, frozenset({PARTLY}), _MEMORY, latest=0.3),
    Fault("a second coordinator", start_second),
    Fault("disk full", fill_disk, frozenset({USAGE, PARTLY}), "No space left on device|room", needs="mount"),
    Fault("disk read-only", make_read_only, frozenset({USAGE, PARTLY}), "Read-only file system", needs="mount"),
    Fault("run folder deleted", remove_run_folder, frozenset({USAGE, PARTLY, STOPPED}), "runs/chaos", loses=True),
    Fault("clock set back", shift_clock(+1), touches=True),
    Fault("clock set forward", shift_clock(-1), touches=True),
    Fault("weights swapped", swap_weights, frozenset({USAGE, PARTLY}), _CHANGED, needs="weights"),
    Fault("image replaced", replace_image, frozenset({USAGE, PARTLY}), _CHANGED, loses=True),
    Fault("labels replaced", replace_labels, frozenset({USAGE, PARTLY}), _CHANGED, loses=True),
    Fault("state file damaged", damage_state, frozenset({USAGE, PARTLY}), "must|damaged|is not", loses=True),
    Fault("state file damaged at rest", at_rest(damage_state), frozenset({USAGE, PARTLY}), "must|damaged", loses=True),
    Fault("result deleted", delete_result, frozenset({USAGE, PARTLY}), "is missing|No such file", loses=True),
    Fault("result deleted at rest", at_rest(delete_result), loses=True),
    Fault("result flipped", flip_result, frozenset({USAGE, PARTLY}), "has other bytes|must|crc|CRC", loses=True),
    Fault("result flipped at rest", at_rest(flip_result), loses=True),
    Fault("container killed", kill_container, frozenset({PARTLY}), _ENGINE_GONE, needs="docker", latest=0.3),
    Fault("Docker engine stopped", stop_engine, frozenset({USAGE, PARTLY}), _ENGINE_GONE, needs="docker", latest=0.3),
)  # fmt: skip
