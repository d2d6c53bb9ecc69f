"""A run that is killed ten times, anywhere, ends in the same bytes as one that is not."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.studies import COORDINATOR, read_contents

from coordinator.datasets.phantom import make_phantom

pytestmark = [pytest.mark.long, pytest.mark.venvs]
STUDY = """
name: {name}
data: data
datasets: [phantom]
generators: [medsam-lite, {{name: degraded-70, tool: degrade, options: {{target-dice: 0.7}}}}]
train: {{epochs: 4, batches_per_epoch: 10, patch: "32,32,8", filters: "8,16,32", holdout: 0.4, seeds: [0]}}
run: {{runtime: process, threads: 1}}
"""


def processes(run: Path) -> list[int]:
    """Every process that works on a run folder: the coordinator, the engine, steps, tools."""
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.split(maxsplit=1) for line in lines[1:]]
    ours = {int(pid) for pid, args in words if str(run) in args or f"{run.name}.yaml" in args}
    steps = {
        int(pid) for pid, args in words
        if "coordinator.engine.execute" in args and Path(f"/proc/{pid}/cwd").exists() and Path(f"/proc/{pid}/cwd").resolve() == run
    }  # fmt: skip
    return sorted((ours | steps) - {os.getpid()})


def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    make_phantom(tmp_path / "data" / "phantom", cases=5, shape=(48, 40, 12))
    for name in ("study", "calm"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "data").symlink_to(tmp_path / "data")
        (folder / "killed.yaml").write_text(STUDY.format(name="killed"))
    subprocess.run([COORDINATOR, "run", tmp_path / "calm" / "killed.yaml"], check=True, capture_output=True)

    chance = random.Random(7)  # noqa: S311 - moments to kill at
    run = tmp_path / "study" / "runs" / "killed"
    for _ in range(10):
        running = subprocess.Popen([COORDINATOR, "run", tmp_path / "study" / "killed.yaml"], stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(2, 12))
        alive = processes(run)
        if alive:
            victim = chance.choice(alive)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        if running.poll() is None and chance.random() < 0.5:
            running.kill()
        running.wait()
    last = subprocess.run(
        [COORDINATOR, "run", tmp_path / "study" / "killed.yaml"], capture_output=True, text=True, check=False
    )

    assert last.returncode == 0, last.stdout + last.stderr
    calm, killed = read_contents(tmp_path / "calm" / "runs" / "killed"), read_contents(run)
    assert calm.keys() == killed.keys()
    assert [name for name in calm if calm[name] != killed[name]] == []
