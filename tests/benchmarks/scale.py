"""Where the first wall stands: plans of up to 20,000 steps without work, looked at, planned by Snakemake, and done.

    python tests/benchmarks/scale.py [STEPS…]      default: 431 2000 5000 20000; all but the last are also done

The plans have the shape of a study: for each label version a chain of label maps, scores and a label store, then five
networks with predictions and scores. `--all` does the last plan, too: of 20,000 steps that takes about an hour.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.engine import nothing, plan

from coordinator.engine import outputs, snakemake
from coordinator.engine.places import ThisMachine
from coordinator.engine.todo import find_todo
from coordinator.study import steps
from coordinator.study.steps import Plan

SIZES = (431, 2000, 5000, 20_000)
SEEDS = 5
Answer = TypeVar("Answer")


def shape(size: int) -> Plan:
    """A plan of so many steps."""
    planned = []
    for version in range(size):
        raw, labels, store = f"1-raw/v{version}", f"2-labels/v{version}", f"4-store/v{version}"
        planned += [nothing(raw), nothing(labels, raw), nothing(f"3-scores/v{version}", labels), nothing(store, labels)]
        for seed in range(SEEDS):
            network, predictions = f"5-models/v{version}/seed-{seed}", f"6-predictions/v{version}/seed-{seed}"
            planned += [nothing(network, store), nothing(predictions, network)]
            planned += [nothing(f"{predictions}/scores", predictions)]
        if len(planned) >= size:
            break
    return plan(*planned[:size])


def cpu_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in uses)


def measure(what: str, work: Callable[[], Answer]) -> Answer:
    """Do something, and print how long it took."""
    cpu, wall = cpu_s(), time.monotonic()
    answer = work()
    sys.stdout.write(f"  {what:<44} {cpu_s() - cpu:9.2f} s CPU {time.monotonic() - wall:9.2f} s\n")
    sys.stdout.flush()
    return answer


def plan_with_snakemake(run: Path) -> None:
    """Let Snakemake plan all steps, and do none."""
    options = [
        "--cores",
        "2",
        "--scheduler",
        "greedy",
        "--dry-run",
        "--quiet",
        "all",
        "--nolock",
        "--ignore-incomplete",
    ]
    command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", Path(snakemake.__file__).with_name("Snakefile")]
    subprocess.run([*command, *options, "--rerun-triggers", "input"], cwd=run, check=True, capture_output=True)
    shutil.rmtree(run / ".snakemake")


def look(size: int, *, do_all: bool) -> None:
    """Measure one size."""
    sys.stdout.write(f"{size} steps\n")
    planned = shape(size)
    with tempfile.TemporaryDirectory() as name, snakemake.lock_run_folder(Path(name)):
        run = Path(name)
        todo = measure("write the plan, find what is to do", lambda: snakemake.write_plan(run, planned))
        (run / snakemake.TODO).write_text("\n".join(step.id for step in todo) + "\n")
        measure("Snakemake plans", lambda: plan_with_snakemake(run))
        if not do_all:
            return
        place = ThisMachine(cores=2, gpus=0, retries=0)
        failed = measure("do all", lambda: snakemake.run_steps(run, planned, todo, place, lambda: None))
        assert failed == {}
        left = measure("find that nothing is to do", lambda: find_todo(run, planned, outputs.never))
        assert left.steps == ()
        files = [file for file in run.rglob("*") if file.is_file()]
        size_mb = sum(file.stat().st_size for file in files) / 1e6
        plan_mb = (run / steps.PLAN).stat().st_size / 1e6
        sys.stdout.write(f"  {len(files)} files, {size_mb:.1f} MB; plan.json {plan_mb:.1f} MB\n")
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    sys.stdout.write(f"  largest process so far: {peak_mb:.0f} MB\n")


def main(words: list[str]) -> None:
    """Measure all sizes."""
    sizes = [int(word) for word in words if word.isdecimal()] or list(SIZES)
    for size in sizes:
        look(size, do_all="--all" in words or size < max(sizes))


if __name__ == "__main__":
    main(sys.argv[1:])
