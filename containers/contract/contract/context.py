"""What a tool knows about its run: manifest, command line, dataset, cases, weights, folders; all checked beforehand."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contract.casenames import describe_passed_over, find_twins
from contract.commandline import Arguments
from contract.datasets import Dataset, open_dataset, refuse_dataset_folder
from contract.errors import UsageError
from contract.manifest import Manifest, OptionValue
from contract.progress import Progress, log_line
from contract.stopping import Stopper
from contract.weights import CheckedWeights, check_weights
from contract.yamlfiles import did_you_mean


@dataclass(frozen=True, slots=True)
class Context:
    """What a tool may know about its run.

    Attributes:
        manifest: the tool's.
        arguments: the command line.
        dataset: the dataset that is worked on.
        cases: the cases of this run, sorted.
        checked_weights: `file` of the manifest -> where it is, with its sha256.
        folder: where the results go: `out/<dataset>/<label version>`.
        progress: counts and shows how far a `Job` is.
        step_folders: step -> its results, of the steps that this run did before; empty where it does one step only.
        twins: cases of this run that only some filesystems can tell apart -> why they can't be done.
        facts: what the tool adds to `run.json`, such as the device that `auto` turned out to be.
    """

    manifest: Manifest
    arguments: Arguments
    dataset: Dataset
    cases: tuple[str, ...]
    checked_weights: Mapping[str, CheckedWeights]
    folder: Path
    progress: Progress
    step_folders: Mapping[str, Path] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def options(self) -> Mapping[str, OptionValue]:
        """The tool's own options, with defaults filled in."""
        return self.arguments.options

    @property
    def threads(self) -> int:
        """CPU threads to use, exactly."""
        return self.arguments.threads

    @property
    def weights(self) -> Mapping[str, Path]:
        """`file` of the manifest -> path of weights whose sha256 is right."""
        return {file: weights.path for file, weights in self.checked_weights.items()}

    def refuse_replaced_weights(self) -> None:
        """Make sure that the weights are still those whose sha256 was compared: tools open them after that.

        Raises:
            UsageError: a file was replaced.
        """
        for weights in self.checked_weights.values():
            weights.refuse_replaced()

    @property
    def reads(self) -> frozenset[str]:
        """What this run reads of the dataset: images, labels."""
        return self.manifest.reads(self.arguments.step)

    def input_folder(self, name: str) -> Path:
        """Folder with the results of an earlier step.

        Raises:
            UsageError: it is not there.
        """
        folder = self._folder_of_this_run(name) or self.arguments.inputs / name
        if not folder.is_dir():
            raise UsageError(f"{folder}: must hold the results of an earlier step, but does not exist; mount it there")
        return folder

    def optional_input_folder(self, name: str) -> Path | None:
        """Folder of an optional input; None where there is none."""
        folder = self.arguments.inputs / name
        return folder if folder.is_dir() else None

    def _folder_of_this_run(self, name: str) -> Path | None:
        step = self.manifest.steps.get(self.arguments.step or "")
        return self.step_folders.get(step.inputs.get(name, "")) if step else None


def make_context(manifest: Manifest, arguments: Arguments, stopper: Stopper, folder: Path | None = None) -> Context:
    """Check everything that can be checked before the first case, and make the folder of the results.

    Args:
        manifest: the tool's.
        arguments: the command line.
        stopper: stops the run on SIGTERM.
        folder: where the results go, if not to `out/<dataset>/<label version>`.

    Raises:
        UsageError: no such dataset, cases or weights, no labels where the tool needs them, a folder for results that
            is read-only or lies in a dataset folder.
    """
    dataset = open_dataset(arguments.data, arguments.dataset)
    if "labels" in manifest.reads(arguments.step) and not dataset.labels:
        raise UsageError(
            f"{dataset.folder}: {manifest.name} needs labels, but this dataset has none (`labels:` in dataset.yaml is "
            "empty); use a tool that works without, or add labels"
        )
    if arguments.cases is None:
        for line in describe_passed_over(dataset.folder / "images"):
            log_line(f"{dataset.name}/{line}")
    refuse_dataset_folder(arguments.out / dataset.name, dataset.folder)
    folder = folder or arguments.out / dataset.name / arguments.label_version
    _make_folder(folder, arguments.out)
    cases = _choose_cases(dataset, arguments)
    return Context(
        manifest=manifest, arguments=arguments, dataset=dataset, cases=cases, twins=find_twins(cases),
        checked_weights=check_weights(manifest, arguments.variant, arguments.weights), folder=folder,
        progress=Progress(folder, stopper.check),
    )  # fmt: skip


def _make_folder(folder: Path, out: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "permission denied", str(folder))
    except OSError as error:
        raise UsageError(
            f"{out}: must be writable by uid {os.getuid()}, but: {error.strerror} ({error.filename}); "
            "give it to that user, or run as the folder's owner"
        ) from None


def _choose_cases(dataset: Dataset, arguments: Arguments) -> tuple[str, ...]:
    all_cases = dataset.cases()
    if arguments.shard:
        index, count = arguments.shard
        return tuple(all_cases[index - 1 :: count])
    if arguments.cases is None:
        return tuple(all_cases)
    unknown = [case for case in arguments.cases if case not in all_cases]
    if unknown:
        raise UsageError(
            f"--cases: {dataset.name} has no case {', '.join(map(repr, unknown))}; "
            f"{did_you_mean(unknown[0], all_cases)}"
        )
    return tuple(sorted(arguments.cases))
