"""A real Slurm, as tests see it: which jobs of a run folder it has had, and its controller, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from helpers.running import wait_until

from coordinator.engine.slurm import queue
from coordinator.engine.slurm.place import Slurm
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.engine.slurm.queue import Job
from coordinator.engine.slurm.script import TEMPLATE, name_prefix

PROFILE = SlurmProfile(poll_seconds=1, latency_seconds=5, min_minutes=1)
SITE = "slurm: {poll_seconds: 1, latency_seconds: 5, max_memory_mb: 3000}\n"
"""The same as a file, for small nodes: answers are looked for often, since steps of tests are short."""


def slow_template(folder: Path, seconds: float) -> str:
    """Write a template of job scripts whose jobs take a while, and return its path."""
    file = folder / "slow.sh.j2"
    file.write_text(TEMPLATE.read_text().replace("\nexec ", f"\nsleep {seconds}\nexec "))
    return str(file)


def make_place(profile: SlurmProfile = PROFILE, retries: int = 0) -> Slurm:
    return Slurm(profile, {}, retries)


def jobs_of(run: Path, study: str) -> list[Job]:
    """All jobs of a run folder that Slurm knows, those that have ended among them."""
    return queue.list_jobs(name_prefix(run, study))


def steps_of(jobs: list[Job]) -> list[str]:
    """Which step each job was for, sorted: one that was submitted twice is there twice."""
    return sorted(job.name.partition(".")[2] for job in jobs)


def count_executions(run: Path) -> dict[str, int]:
    """Step -> how many jobs have begun to do it, by what they printed: Slurm may forget jobs when it is killed."""
    folder = run / "logs/slurm"
    return {
        str(file.relative_to(folder).with_suffix("")): file.read_text().count(" on ") for file in folder.rglob("*.out")
    }


def wait_for_state(run: Path, study: str, *states: str, count: int = 1) -> list[Job]:
    """Wait until so many jobs of a run folder are in one of the states, and return them."""
    found: list[Job] = []

    def enough() -> bool:
        found[:] = [job for job in jobs_of(run, study) if job.state in states]
        return len(found) >= count

    wait_until(enough)
    return found


def kill_controller(number: signal.Signals = signal.SIGKILL) -> None:
    """Kill slurmctld; jobs on nodes go on. By SIGKILL it forgets what it did in its last five seconds."""
    configuration = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True).stdout
    file = next(
        line.split("=")[1].strip() for line in configuration.splitlines() if line.startswith("SlurmctldPidFile")
    )
    process = int(Path(file).read_text())
    os.kill(process, number)
    wait_until(lambda: not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text())


def start_controller() -> None:
    """Start slurmctld again, with the state that it saved."""
    subprocess.run(["slurmctld", "-f", Path("/etc/slurm/slurm.conf").resolve()], check=True)
    wait_until(lambda: subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0)
    resume_nodes()


def resume_nodes() -> None:
    """Take nodes back that Slurm has drained, as it does where a restart finds a job that it knows nothing of."""
    drained = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--states=drain,down", "--format=%N"],
        capture_output=True,
        text=True,
        check=True,
    )
    for node in set(drained.stdout.split()):
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=False)


def wait_with_nodes(program: "subprocess.Popen[bytes]", seconds: float = 180) -> int:
    """Wait for a program, and take nodes back meanwhile that Slurm drains, as an administrator would."""
    end = time.monotonic() + seconds
    while program.poll() is None and time.monotonic() < end:
        resume_nodes()
        time.sleep(1)
    return program.wait(1)


def start_engine(run: Path, tests: Path, place_arguments: str = "") -> "subprocess.Popen[bytes]":
    """Do the plan of a run folder on Slurm in a program of its own, which a test can kill."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from coordinator.engine import snakemake\n"
        "from coordinator.study.steps import read_plan\n"
        "from helpers.slurm import PROFILE, make_place\n"
        "run = Path(sys.argv[1])\n"
        "with snakemake.lock_run_folder(run):\n"
        f"    planned, place = read_plan(run), make_place(PROFILE.model_copy(update=dict({place_arguments})))\n"
        "    place.prepare(run, planned)\n"
        "    todo = snakemake.write_plan(run, planned)\n"
        "    failed = snakemake.run_steps(run, planned, todo, place, lambda: None)\n"
        "sys.exit(str(failed) if failed else 0)\n"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(run), str(tests)])
