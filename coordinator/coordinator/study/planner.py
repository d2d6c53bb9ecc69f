"""What all steps of a plan have in common: resources, arguments, fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass

from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.runners import Runner
from coordinator.study.file import Study
from coordinator.study.steps import Step
from coordinator.tools.finding import Tool

SCORING_VERSION = 2
"""Raised when metrics or tables change, so that scores are computed again."""


CASES_A_WORKER, WORKERS = 8, 4
"""A process that scores takes a second to start, so it should have some cases; and how many there are at most."""


SCORING_MB = 1000
"""Memory of a process that scores: two label maps of 512 x 512 x 600 voxels, and what is made of them."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which cases models are trained on, and which they are tested on; the same for all label versions."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planner:
    """What every step of a study needs to know."""

    study: Study
    runner: Runner
    weights_present: bool

    def tool_step(self, step: Step, tool: Tool, parts: Mapping[str, object], name: str | None = None) -> Step:
        """Complete a step that a tool does: its resources, its threads, its fingerprint; `name` is the manifest's."""
        resources = tool.manifest.resources
        uses_gpu = resources.gpu != "none" and (name is None or tool.manifest.steps[name].gpu)
        cpus = self.study.content.run.threads or resources.cpus
        arguments = (*step.arguments, "--threads", str(cpus))
        identity = {"tool": self.runner.code_id(tool), "runtime": self.runner.runtime, "arguments": arguments}
        return step._replace(
            kind="tool",
            tool=tool.name,
            runtime=self.runner.runtime,
            arguments=arguments,
            cpus=cpus,
            memory_mb=int(resources.memory_gb * 1000),
            gpus=1 if uses_gpu else 0,
            fingerprint=digest({**identity, **parts, "inputs": dict(step.inputs), "output": step.output}),
        )


def scoring_step(planner: Planner, step: Step, base: Step, prediction: Step) -> Step:
    """Complete a step that scores: what it asks, its processes, its fingerprint. No other step has a convention."""
    settings = {
        **step.settings,
        "scoring": planner.study.content.score.scoring.as_json(),
        "reference": base.output,
        "prediction": prediction.output,
    }
    workers = max(1, min(step.cases // CASES_A_WORKER, planner.study.content.run.threads or WORKERS))
    return step._replace(
        needs=(base.id, prediction.id),
        settings=settings,
        cpus=workers,
        memory_mb=SCORING_MB * workers,
        fingerprint=digest(["score", SCORING_VERSION, base.fingerprint, prediction.fingerprint, settings]),
    )


def label_table(dataset: DatasetCheck) -> dict[str, str]:
    """Label id -> organ, as JSON has it."""
    return {str(label): organ for label, organ in dataset.labels.items()}
