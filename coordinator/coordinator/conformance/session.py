"""Where a target is tried: its runs on the dataset, of which the costly ones serve several rules.

chain("base")     every step on sound cases, undisturbed: the yardstick of most rules
run(Trial(...))   one step once more: on other data, with other arguments, in a copy of what `base` wrote

WORK/<place>/<step>/out/check/<label version>/    results
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from contract.datasets import SUFFIX, case_names
from contract.manifest import GIVEN_INPUTS, Manifest, OptionValue
from coordinator.conformance.data import CASES, NAME, Data, Kind
from coordinator.conformance.targets import Ended, Start, Target, files_below
from coordinator.runners import Invocation
from coordinator.tools.finding import Tool


class Broken(Exception):
    """A rule doesn't hold; the message says what is wrong."""


class NotApplicable(Exception):
    """A rule says nothing about this target; the message says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one step.

    Attributes:
        place: folder of its results.
        step: of the manifest; None for a tool without steps, or for all of them.
        arguments: after those that every run gets.
        kind: of data.
        inputs: name -> folder; None for the results of `base`.
        environment: variables.
        weights: instead of the folder that was given.
        dataset: its name; None where the environment says it.
        stop: when it is sent SIGTERM.
    """

    place: str
    step: str | None
    arguments: tuple[str, ...] = ()
    kind: Kind = "sound"
    inputs: Mapping[str, Path] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None
    dataset: str | None = NAME
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Stage:
    """What a trial came to.

    Attributes:
        step: of the manifest.
        place: of the trial.
        ended: how it ended.
        folder: of its results.
    """

    step: str | None
    place: str
    ended: Ended
    folder: Path

    @property
    def words(self) -> str:
        """How a message about it begins; empty for a tool without steps."""
        return f"step {self.step}: " if self.step else ""

    def label_map(self, case: str) -> Path:
        """Where a case's labels are, or should be."""
        return self.folder / f"{case}{SUFFIX}"


Chain = tuple[Stage, ...]
"""Every step of a tool, one after the other; ends with the first that fails."""


@dataclass(frozen=True)
class Bench:
    """A target, one of its variants, and where it is tried.

    Attributes:
        target: what is tried.
        manifest: as `describe` prints it.
        variant: which one is tried.
        data: the dataset.
        work: folder for results.
        weights: folder of weights; None where there is none.
        before: what data and weights were before the first run.
        strays: what runs have left outside of their places.
    """

    target: Target
    manifest: Manifest
    variant: str
    data: Data
    work: Path
    weights: Path | None
    before: Mapping[str, object]
    strays: set[str] = field(default_factory=set)

    @property
    def steps(self) -> tuple[str | None, ...]:
        """The steps in order; None alone for a tool that has none."""
        return tuple(self.manifest.steps) or (None,)

    @property
    def last(self) -> str | None:
        """The step that makes label maps."""
        return self.steps[-1]

    @property
    def few(self) -> tuple[str, ...]:
        """The cases of a small run."""
        return CASES[: self.manifest.check.cases]

    @property
    def label_version(self) -> str:
        """The name of results where none is given."""
        return f"{self.manifest.name}-{self.variant}"

    @cached_property
    def locked(self) -> Chain:
        """Every step on sound cases, behind all locks."""
        return self.chain("locked", granted=frozenset())

    @cached_property
    def granted(self) -> frozenset[str]:
        """The locks that the tool can't live with, found one by one."""
        locks = frozenset(self.target.locks)
        if not locks or self._is_whole(self.locked) or not self._is_whole(self.chain("open", granted=locks)):
            return frozenset()
        return frozenset(
            lock for lock in locks if not self._is_whole(self.chain(f"behind-{lock}", granted=locks - {lock}))
        )

    @cached_property
    def base(self) -> Chain:
        """Every step on sound cases, undisturbed, behind the locks that it can live with.

        Raises:
            NotApplicable: it fails, so that nothing can be compared with it.
        """
        chain = self.chain("base", granted=self.granted) if self.granted else self.locked
        if not self._is_whole(chain):
            raise NotApplicable("needs a run that does all sound cases (rule `run`)")
        return chain

    @cached_property
    def damaged(self) -> tuple[Stage, dict[str, tuple[int, int]]]:
        """The last step once more, in what it wrote before, on damaged data; and the files' states before."""
        folder = self.copied("damaged", self.last)
        before = states(folder)
        return self.run(Trial("damaged", self.last, kind="damaged")), before

    @property
    def reads_labels(self) -> bool:
        """Whether the step that makes label maps reads the dataset's labels."""
        return "labels" in self.manifest.reads(self.last)

    def chain(self, place: str, kind: Kind = "sound", granted: frozenset[str] | None = None) -> Chain:
        """Do every step on a kind of data, each with the results of those before."""
        stages: list[Stage] = []
        for step in self.steps:
            stages.append(self.run(Trial(place, step, kind=kind, inputs=self.inputs(step, stages)), granted))
            if stages[-1].ended.code != 0:
                break
        return tuple(stages)

    def run(self, trial: Trial, granted: frozenset[str] | None = None) -> Stage:
        """Do one step once."""
        folder = self._folder(trial.place, trial.step)
        folder.mkdir(parents=True, exist_ok=True)
        manifest, inputs = self.manifest, trial.inputs
        reads = manifest.reads(trial.step) if trial.step or not manifest.steps else _all_reads(manifest)
        invocation = Invocation(
            name="check", fingerprint="", tool=Tool(folder, manifest), arguments=self._arguments(trial),
            data=self.data.root(trial.kind), dataset=NAME, shows_labels="labels" in reads,
            inputs=self.inputs(trial.step, self.base if trial.step else ()) if inputs is None else inputs,
            out=folder / "out", log=folder / "log.txt", weights=trial.weights or self.weights,
            gpus=(0,) if manifest.resources.gpu == "required" else (),
        )  # fmt: skip
        start = Start(invocation, self.granted if granted is None else granted, trial.environment, trial.stop)
        ended = self.target.run(start)
        self.strays.update(ended.strays)
        return Stage(trial.step, trial.place, ended, self.results(trial.place, trial.step))

    def inputs(self, step: str | None, stages: "Chain | list[Stage]") -> dict[str, Path]:
        """What a step finds below /in: results of stages, or what the coordinator gives."""
        if step is None:
            return {}
        made = {stage.step: stage.folder for stage in stages}
        sources = self.manifest.steps[step].inputs
        return {name: self.data.given(s) if s in GIVEN_INPUTS else made[s] for name, s in sources.items()}

    def results(self, place: str, step: str | None) -> Path:
        """Where a step of a place writes."""
        return self._folder(place, step) / "out" / NAME / self.label_version

    def copied(self, place: str, step: str | None) -> Path:
        """Copy what `base` wrote in a step to another place, open to all, and give the folder of results there."""
        source = next(stage.folder for stage in self.base if stage.step == step)
        folder = self.results(place, step)
        shutil.copytree(source, folder)
        for parent, folders, files in os.walk(self._folder(place, step)):
            for name in (*folders, *files):
                path = Path(parent, name)
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
        return folder

    def _arguments(self, trial: Trial) -> tuple[str, ...]:
        dataset = () if trial.dataset is None else ("--dataset", trial.dataset)
        step = () if trial.step is None else ("--step", trial.step)
        options = as_arguments(self.manifest.check.options)
        return (*dataset, "--variant", self.variant, *step, *options, *trial.arguments)

    def _folder(self, place: str, step: str | None) -> Path:
        return self.work / place / (step or "all")

    def _is_whole(self, chain: Chain) -> bool:
        last = chain[-1]
        return last.ended.code == 0 and last.step == self.last and set(CASES) <= set(case_names(last.folder))


def surroundings(data: Data, weights: Path | None, tool: str) -> dict[str, object]:
    """What no run of a tool may change: sha256 of the data, size and time of its weights."""
    return {**data.digests(), **(files_below(weights / tool) if weights else {})}


def as_arguments(options: Mapping[str, OptionValue]) -> tuple[str, ...]:
    """Options as arguments of a command line."""
    arguments = []
    for name, value in options.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments.append(f"--{name}={value}")
    return tuple(arguments)


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """File that is not hidden, from a folder of results -> its inode and time of change."""
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in visible(folder)}


def visible(folder: Path) -> list[Path]:
    """Files of a folder of results that are not hidden, sorted."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def redone(before: Mapping[str, tuple[int, int]], folder: Path) -> set[str]:
    """Cases whose label map was written again since."""
    now = states(folder)
    files = {f"{case}{SUFFIX}": case for case in CASES}
    return {case for file, case in files.items() if file in now and now[file] != before.get(file)}


def _all_reads(manifest: Manifest) -> frozenset[str]:
    return frozenset(kind for step in manifest.steps for kind in manifest.reads(step))
