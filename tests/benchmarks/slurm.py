"""What a Slurm job costs beside a step: steps without work, on a real cluster.

chain            < 3 s a step    each waits for the one before: submission, start, end seen
wide             < 3 s a step    as many at once as the cluster takes
again            < 10 s          the whole command, when all is done
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.engine import nothing, plan
from helpers.slurm import count_executions

from coordinator.engine import snakemake
from coordinator.engine.slurm.place import Slurm
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.study.steps import Plan, Step


def run_s(run: Path, planned: Plan) -> float:
    """Seconds of a run on the cluster, with the site profile's defaults."""
    begin = time.perf_counter()
    place = Slurm(SlurmProfile(), {}, 0)
    with snakemake.lock_run_folder(run):
        place.prepare(run, planned)
        todo = snakemake.write_plan(run, planned)
        failed = snakemake.run_steps(run, planned, todo, place, lambda: None)
    if failed:
        raise RuntimeError(f"steps failed: {failed}")
    return time.perf_counter() - begin


def main(length: int, width: int) -> None:
    """Run both shapes and print what they took."""
    chain = [nothing("s0"), *(nothing(f"s{i}", f"s{i - 1}") for i in range(1, length))]
    wide: list[Step] = [nothing(f"s{i}") for i in range(width)]
    for name, steps in (("chain", chain), ("wide", wide)):
        with tempfile.TemporaryDirectory(prefix="label-quality-") as folder:
            planned = plan(*steps)
            seconds = run_s(Path(folder), planned)
            again = run_s(Path(folder), planned)
            once = set(count_executions(Path(folder)).values()) == {1}
            print(  # noqa: T201
                f"{name:6} {len(steps):4} steps  {seconds:6.1f} s, {seconds / len(steps):.2f} s a step (limit 3)   "
                f"again {again:.1f} s (limit 10)   each step once: {once}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("20", "100")))
