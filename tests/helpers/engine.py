"""Plans of steps without work, run by the real engine."""

from pathlib import Path

from coordinator.engine import snakemake
from coordinator.engine.places import ThisMachine
from coordinator.study.steps import Plan, Step

LIMITS = ThisMachine(cores=2, gpus=0, retries=0)


def nothing(name: str, *needs: str, fingerprint: str = "1") -> Step:
    return Step(
        id=f"toy/{name}", kind="nothing", output=f"toy/{name}", dataset="toy", label_version=name,
        fingerprint=fingerprint, needs=tuple(f"toy/{n}" for n in needs),
    )  # fmt: skip


def plan(*planned: Step) -> Plan:
    return Plan("toy", "/nowhere", None, planned, {"cases": {"toy": ["a"]}})


def run(folder: Path, planned: Plan) -> tuple[list[str], dict[str, str]]:
    """Run a plan; which steps were to do, and which failed."""
    with snakemake.lock_run_folder(folder):
        todo = snakemake.write_plan(folder, planned)
        return [step.id for step in todo], snakemake.run_steps(folder, planned, todo, LIMITS, lambda: None)
