"""The engine's own cost: a study of 431 steps, planned for real and run without work.

plan             < 3 s CPU    study file, dataset check, fingerprints
run              < 30 s       431 steps that do nothing, each a process of its own
run, no-op       < 5 s        the whole command again
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from coordinator.cli.studyrun import prepare
from coordinator.datasets.phantom import make_phantom
from coordinator.engine import snakemake
from coordinator.engine.places import ThisMachine

STUDY = """
name: many
data: {data}
datasets: [phantom]
generators: [{generators}]
train: {{seeds: [0, 1, 2, 3], holdout: 0.5}}
run: {{runtime: process}}
"""
GENERATORS = 26  # with four seeds, base, store and label stores: 431 steps


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(what: str, goal_s: float, clock: Callable[[], float], work: Callable[[], None]) -> bool:
    """Do something, print how long it took, and say whether that meets its goal."""
    since = clock()
    work()
    took = clock() - since
    met = took < goal_s
    sys.stdout.write(f"{what:<40} {took:6.2f} s   goal < {goal_s:g} s   {'met' if met else 'NOT MET'}\n")
    return met


def main() -> int:
    """Measure; 1 where a goal is not met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder / "data" / "phantom", cases=2, shape=(16, 16, 8))
        versions = ", ".join(f"{{name: v{i}, tool: degrade, options: {{seed: {i}}}}}" for i in range(GENERATORS))
        (folder / "study.yaml").write_text(STUDY.format(data="data", generators=versions))
        prepared = prepare(folder / "study.yaml", None, lambda line: None)
        run = prepared.run
        planned = prepared.plan._replace(
            steps=tuple(step._replace(kind="nothing", also=()) for step in prepared.plan.steps)
        )
        assert len(planned.steps) == 431  # what the goals are about

        def plan() -> None:
            prepare(folder / "study.yaml", None, lambda line: None)

        def do() -> None:
            with snakemake.lock_run_folder(run):
                todo = snakemake.write_plan(run, planned)
                failed = snakemake.run_steps(run, planned, todo, ThisMachine(2, 0, 0), lambda: None)
            if failed:
                raise RuntimeError(f"{len(failed)} steps failed: {next(iter(failed.items()))}")

        def again() -> None:
            plan()
            do()

        results = [
            measure("plan of 431 steps, CPU", 3, cpu_s, plan),
            measure("run of 431 no-op steps, wall", 30, time.monotonic, do),
            measure("no-op rerun, wall", 5, time.monotonic, again),
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
