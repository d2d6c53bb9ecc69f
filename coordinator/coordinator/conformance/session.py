"""The runs of a target on the dataset; several rules share a costly run.

undisturbed       every step on sound cases: most rules compare with it
run(Trial(...))   one more run of a step: on other data, with other arguments, or in a copy of the undisturbed results

WORK/<place>/<step>/out/check/<label version>/    results
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from contract.datasets import SUFFIX, case_names
from contract.manifest import OUTSIDE_INPUTS, Manifest
from coordinator.conformance.data import CASES, NAME, CheckData, Kind
from coordinator.conformance.targets import RunOutcome, RunRequest, Target, files_below
from coordinator.runners import Invocation
from coordinator.runners.outfolder import find_irregular
from coordinator.tools.finding import Tool
from coordinator.tools.options import option_arguments


class RuleBroken(Exception):
    """A rule doesn't hold; the message says what is wrong."""


class NotApplicable(Exception):
    """A rule says nothing about this target; the message says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The settings of one run of a step.

    Attributes:
        place: name of the folder for its results.
        step: step of the manifest; None for a tool without steps, or for all steps.
        arguments: arguments after those of every run.
        kind: kind of data.
        inputs: name -> folder; None for the undisturbed results.
        environment: variables.
        weights: folder of weights; None for the session's.
        dataset: its name; None where the environment names it.
        should_stop: SIGTERM is sent when it becomes true.
    """

    place: str
    step: str | None
    arguments: tuple[str, ...] = ()
    kind: Kind = "sound"
    inputs: Mapping[str, Path] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None
    dataset: str | None = NAME
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a trial.

    Attributes:
        step: step of the manifest.
        place: place of the trial.
        outcome: how the run ended.
        folder: folder of the results.
    """

    step: str | None
    place: str
    outcome: RunOutcome
    folder: Path

    @property
    def prefix(self) -> str:
        """Beginning of messages about it; empty for a tool without steps."""
        return f"step {self.step}: " if self.step else ""

    def label_map(self, case: str) -> Path:
        """Path of a case's label map, whether it is there or not."""
        return self.folder / f"{case}{SUFFIX}"


Chain = tuple[StepResult, ...]
"""The results of a tool's steps in order, up to the first step that failed."""


@dataclass(frozen=True)
class CheckSession:
    """The check of one variant of a target.

    Attributes:
        target: the image or process to check.
        manifest: as `describe` prints it.
        variant: the variant to check.
        data: the dataset.
        work: folder for results.
        weights: folder of weights; None where there is none.
        initial_files: `protected_files` before the first run.
        strays: files that runs have left outside of /out and /tmp.
    """

    target: Target
    manifest: Manifest
    variant: str
    data: CheckData
    work: Path
    weights: Path | None
    initial_files: Mapping[str, object]
    strays: set[str] = field(default_factory=set)

    @property
    def steps(self) -> tuple[str | None, ...]:
        """The steps in order; a single None for a tool without steps."""
        return tuple(self.manifest.steps) or (None,)

    @property
    def last_step(self) -> str | None:
        """The step that makes label maps."""
        return self.steps[-1]

    @property
    def few_cases(self) -> tuple[str, ...]:
        """The cases for a small run."""
        return CASES[: self.manifest.check.cases]

    @property
    def label_version(self) -> str:
        """The default label version of the results."""
        return f"{self.manifest.name}-{self.variant}"

    @cached_property
    def locked_chain(self) -> Chain:
        """The results of every step on sound cases, behind all locks."""
        return self.run_chain("locked", open_locks=frozenset())

    @cached_property
    def open_locks(self) -> frozenset[str]:
        """The locks that must stay open for the tool to run, found one by one; none of a foreign image is opened."""
        locks = frozenset(self.target.locks)
        if not locks or self.target.is_foreign or self._is_complete(self.locked_chain):
            return frozenset()
        if not self._is_complete(self.run_chain("open", open_locks=locks)):
            return frozenset()
        return frozenset(
            lock for lock in locks if not self._is_complete(self.run_chain(f"behind-{lock}", open_locks=locks - {lock}))
        )

    @cached_property
    def undisturbed(self) -> Chain:
        """The results of every step on sound cases, undisturbed, behind all locks that need not stay open.

        Raises:
            NotApplicable: a step fails, so that nothing can be compared with it.
        """
        chain = self.run_chain("base", open_locks=self.open_locks) if self.open_locks else self.locked_chain
        if not self._is_complete(chain):
            raise NotApplicable("needs a run that does all sound cases (rule `run`)")
        return chain

    @cached_property
    def damaged_run(self) -> tuple[StepResult, dict[str, tuple[int, int]]]:
        """The last step, run again on damaged data in a copy of its results; and the states of the files before."""
        folder = self.copy_results("damaged", self.last_step)
        before = file_states(folder)
        return self.run(Trial("damaged", self.last_step, kind="damaged")), before

    @property
    def reads_labels(self) -> bool:
        """Whether the step that makes label maps reads the reference labels."""
        return "labels" in self.manifest.reads(self.last_step)

    def run_chain(self, place: str, kind: Kind = "sound", open_locks: frozenset[str] | None = None) -> Chain:
        """Run every step on a kind of data, each with the results of the steps before."""
        results: list[StepResult] = []
        for step in self.steps:
            results.append(self.run(Trial(place, step, kind=kind, inputs=self.inputs(step, results)), open_locks))
            if results[-1].outcome.code != 0:
                break
        return tuple(results)

    def run(self, trial: Trial, open_locks: frozenset[str] | None = None) -> StepResult:
        """Run one step."""
        folder = self._work_folder(trial.place, trial.step)
        folder.mkdir(parents=True, exist_ok=True)
        manifest, inputs = self.manifest, trial.inputs
        reads = manifest.reads(trial.step) if trial.step or not manifest.steps else _all_reads(manifest)
        invocation = Invocation(
            name="check", fingerprint="", tool=Tool(folder, manifest), arguments=self._arguments(trial),
            data=self.data.root(trial.kind), dataset=NAME, shows_labels="labels" in reads,
            inputs=self.inputs(trial.step, self.undisturbed if trial.step else ()) if inputs is None else inputs,
            out=folder / "out", log=folder / "log.txt", weights=trial.weights or self.weights,
            gpus=(0,) if manifest.resources.gpu == "required" else (), is_foreign=self.target.is_foreign,
        )  # fmt: skip
        locks = self.open_locks if open_locks is None else open_locks
        outcome = self.target.run(RunRequest(invocation, locks, trial.environment, trial.should_stop))
        self.strays.update(outcome.strays)
        with suppress(PermissionError):
            if odd := find_irregular(invocation.out):
                name = odd.relative_to(invocation.out)
                raise RuleBroken(f"may write files and folders alone, but {name} is a link or something else")
        return StepResult(trial.step, trial.place, outcome, self.results_folder(trial.place, trial.step))

    def inputs(self, step: str | None, results: "Chain | list[StepResult]") -> dict[str, Path]:
        """The folders that a step gets below /in: results of earlier steps, or inputs that the coordinator makes."""
        if step is None:
            return {}
        folders = {result.step: result.folder for result in results}
        sources = self.manifest.steps[step].inputs
        return {name: self.data.input_folder(s) if s in OUTSIDE_INPUTS else folders[s] for name, s in sources.items()}

    def results_folder(self, place: str, step: str | None) -> Path:
        """The folder to which a step writes its results."""
        return self._work_folder(place, step) / "out" / NAME / self.label_version

    def copy_results(self, place: str, step: str | None) -> Path:
        """Copy a step's undisturbed results to another place, writable for all; return the new folder of results."""
        source = next(result.folder for result in self.undisturbed if result.step == step)
        folder = self.results_folder(place, step)
        shutil.copytree(source, folder)
        for parent, folders, files in os.walk(self._work_folder(place, step)):
            for name in (*folders, *files):
                path = Path(parent, name)
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
        return folder

    def _arguments(self, trial: Trial) -> tuple[str, ...]:
        dataset = () if trial.dataset is None else ("--dataset", trial.dataset)
        step = () if trial.step is None else ("--step", trial.step)
        options = option_arguments(self.manifest.check.options)
        return (*dataset, "--variant", self.variant, *step, *options, *trial.arguments)

    def _work_folder(self, place: str, step: str | None) -> Path:
        return self.work / place / (step or "all")

    def _is_complete(self, chain: Chain) -> bool:
        last = chain[-1]
        return last.outcome.code == 0 and last.step == self.last_step and set(CASES) <= set(case_names(last.folder))


def protected_files(data: CheckData, weights: Path | None, tool: str) -> dict[str, object]:
    """The state of the files that no run may change: sha256 of the data, size and time of the tool's weights."""
    return {**data.digests(), **(files_below(weights / tool) if weights else {})}


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Visible file of a folder of results -> its inode and time of change."""
    status = {path: path.stat() for path in visible_files(folder)}
    return {str(path.relative_to(folder)): (s.st_ino, s.st_mtime_ns) for path, s in status.items()}


def visible_files(folder: Path) -> list[Path]:
    """List the files of a folder of results that are not hidden, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def rewritten_cases(before: Mapping[str, tuple[int, int]], folder: Path) -> set[str]:
    """Find the cases whose label map was written since the states `before`."""
    now = file_states(folder)
    files = {f"{case}{SUFFIX}": case for case in CASES}
    return {case for file, case in files.items() if file in now and now[file] != before.get(file)}


def _all_reads(manifest: Manifest) -> frozenset[str]:
    return frozenset(kind for step in manifest.steps for kind in manifest.reads(step))
