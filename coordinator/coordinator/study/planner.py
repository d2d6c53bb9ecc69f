"""What steps of all kinds have in common: resources, arguments, fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass

from contract.records import digest
from coordinator.datasets.check import DatasetCheck
from coordinator.runners import Runner
from coordinator.study.file import Study
from coordinator.study.steps import Step, name_output
from coordinator.tools.finding import Tool

SCORING_VERSION = 2
"""Raise it when metrics or score files change, so that scores are computed again."""
SHELLS_VERSION = 1
"""The same for the further output of steps that also count shells."""
AGREEMENT_VERSION = 1
"""The same for the agreement of label versions."""

CASES_PER_WORKER = 8
"""A scoring process takes a second to start, so each gets about this many cases."""
MOST_WORKERS = 4
"""Of one scoring step, where the study file sets no threads."""
SCORING_MB = 1000
"""Memory of a scoring process: two label maps of 512 x 512 x 600 voxels, and what is computed from them."""


@dataclass(frozen=True, slots=True)
class Planner:
    """What every step of a study depends on."""

    study: Study
    runner: Runner
    weights_present: bool

    def complete_tool_step(
        self, step: Step, tool: Tool, dependencies: Mapping[str, object], name: str | None = None
    ) -> Step:
        """Complete a tool's step with resources, threads and fingerprint.

        Args:
            step: the step so far.
            tool: does it.
            dependencies: what the output depends on beside tool, arguments and paths.
            name: of the step in the manifest; None for a tool without steps.
        """
        resources = tool.manifest.resources
        uses_gpu = resources.gpu != "none" and (name is None or tool.manifest.steps[name].gpu)
        cpus = self.study.content.run.threads or resources.cpus
        arguments = (*step.arguments, "--threads", str(cpus))
        inputs = {name: name_output(place) for name, place in step.inputs.items()}
        code = {"tool": self.runner.code_id(tool), "runtime": self.runner.runtime, "arguments": arguments}
        return step._replace(
            kind="tool",
            tool=tool.name,
            runtime=self.runner.runtime,
            image=tool.added.id if tool.added else None,
            arguments=arguments,
            cpus=cpus,
            memory_mb=int(resources.memory_gb * 1000),
            gpus=1 if uses_gpu else 0,
            fingerprint=digest({**code, **dependencies, "inputs": inputs, "output": name_output(step.output)}),
        )


def complete_scoring_step(planner: Planner, step: Step, reference: Step, prediction: Step) -> Step:
    """Complete a scoring step with settings, processes and fingerprint; no other step depends on the convention.

    Args:
        planner: of the study.
        step: the step so far.
        reference: the step that writes the reference labels.
        prediction: the step that writes the label maps to score.
    """
    settings = {**step.settings, "scoring": planner.study.content.score.scoring.as_json()}
    places = {"reference": reference.output, "prediction": prediction.output}
    named = {**settings, **{name: name_output(place) for name, place in places.items()}}
    also = [SHELLS_VERSION, *map(name_output, step.also)] if step.also else []
    return with_workers(planner, step)._replace(
        needs=(reference.id, prediction.id),
        settings={**settings, **places},
        fingerprint=digest(["score", SCORING_VERSION, reference.fingerprint, prediction.fingerprint, named, *also]),
    )


def with_workers(planner: Planner, step: Step) -> Step:
    """A step that reads cases in several processes, with as many as its cases are worth."""
    workers = max(1, min(step.cases // CASES_PER_WORKER, planner.study.content.run.threads or MOST_WORKERS))
    return step._replace(cpus=workers, memory_mb=SCORING_MB * workers)


def label_table(dataset: DatasetCheck) -> dict[str, str]:
    """Label id -> organ; ids are text, as in JSON."""
    return {str(label): organ for label, organ in dataset.labels.items()}
