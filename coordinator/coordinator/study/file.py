"""The study file: which datasets and label versions, how they are scored, and whether networks are trained on them.

Every key has a default, a type, a range and a message. Paths are relative to the study file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from contract import yamlfiles
from contract.datasets import name_problem
from contract.errors import UsageError
from contract.manifest import OptionValue
from contract.yamlfiles import Items, Line, Strict, did_you_mean
from contract.yamlnodes import show_text
from contract.yamltext import list_problems
from coordinator.study.entries import NAME, LabelSetEntry, MixEntry
from coordinator.study.generators import Generator, GeneratorEntry, find_shared_names, resolve_generator
from coordinator.study.settings import RunSettings, ScoreSettings, TrainSettings, VerdictSettings
from coordinator.study.steps import BASE
from coordinator.tools.added import AddedTool
from coordinator.tools.finding import Tool, find_tools

PATCH = re.compile("[0-9]{1,9}(,[0-9]{1,9}){2}")
FEWEST_COMBINED = 2
"""Label versions of a consensus."""
SMALLEST_PATCH = 16
"""Voxels along the longest axis of a patch: with fewer, no network has its three stages."""
RESERVED = {
    BASE: "the dataset's own labels",
    "images": "the image store",
    "store": "the image store",
    "no-pretrain": "networks that begin from scratch",
}


def _check_folder_name(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise ValueError(f"must be the name of a folder below `data`, without `/`, but it is {show_text(name)!r}")
    return name


FolderName = Annotated[Line, AfterValidator(_check_folder_name)]


class StudyFile(Strict):
    """`study.yaml`."""

    name: str = Field(pattern=NAME, max_length=100)
    data: Line = Field(default="data", description="folder of dataset folders")
    out: Line = Field(default="runs", description="folder of run folders")
    weights: Line = Field(default="weights", description="folder of trained weights")
    tools: Line = Field(default="tools", description="folder of images that were added as tools")
    datasets: Items[FolderName] = Field(min_length=1, max_length=100)
    generators: Items[Line | GeneratorEntry] = Field(default=(), max_length=1000)
    versions: Items[LabelSetEntry] = Field(
        default=(), max_length=100, description="label sets beside the dataset's own"
    )
    reference: Line = Field(
        default=BASE, description="whose labels are the truth: `base`, the dataset's own, or one of `versions`"
    )
    mix: MixEntry | None = Field(default=None, description="label versions with some better labels")
    exclude: dict[str, dict[str, str]] = Field(default_factory=dict, description="dataset -> case -> reason")
    exclude_leaks: bool | None = Field(default=None, description="whether scans that networks know test nothing")
    score: ScoreSettings = ScoreSettings()
    train: TrainSettings | None = None
    transfer: Items[FolderName] = Field(
        default=(), max_length=100, description="datasets that trained networks are fine-tuned on"
    )
    verdict: VerdictSettings = VerdictSettings()
    run: RunSettings = RunSettings()

    @field_validator("datasets", "transfer")
    @classmethod
    def _check_different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"must be different, but are {list(names)}")
        if problems := [problem for name in names if (problem := name_problem(name))]:
            raise ValueError(problems[0])
        return names

    @field_validator("train", mode="before")
    @classmethod
    def _check_not_empty(cls, value: Any) -> Any:  # noqa: ANN401 - before validation it may be anything
        if value is None:
            raise ValueError("must hold keys; for the defaults write `train: {}`, to train nothing leave it out")
        return value

    @model_validator(mode="after")
    def _check_versions(self) -> "StudyFile":
        if not self.generators and not self.versions:
            raise ValueError("generators: must name what makes label versions, or `versions` label sets, but both lack")
        sets = [BASE, *(entry.name for entry in self.versions)]
        if self.reference not in sets:
            raise ValueError(
                f"reference: must be `base` or the name of a label set in `versions`, but it is "
                f"{show_text(self.reference)!r}; {did_you_mean(self.reference, sets)}"
            )
        return self

    @model_validator(mode="after")
    def _check_sections_fit(self) -> "StudyFile":
        for name in self.exclude:
            if name not in {*self.datasets, *self.transfer}:
                raise ValueError(
                    f"exclude: {show_text(name)!r} is no dataset of this study; {did_you_mean(name, self.datasets)}"
                )
        if self.train is not None and (problem := self._split_problem(self.train)):
            raise ValueError(f"train.split: {problem}")
        if self.transfer and self.train is not None and self.train.folds:
            raise ValueError(
                "transfer: fine-tunes networks of one split, but `train.folds` makes some for each fold; leave one of "
                "the two out"
            )
        if self.transfer and self.train is None:
            raise ValueError("transfer: needs networks to fine-tune, but there is no `train` section; add `train: {}`")
        return self

    def _split_problem(self, train: TrainSettings) -> str | None:
        """What is wrong with the datasets that a given split names."""
        names = (*self.datasets, *self.transfer)
        if isinstance(train.split, dict):
            unknown = sorted(set(train.split) - set(names))
            said = [f"{show_text(name)!r} is no dataset of this study; {did_you_mean(name, names)}" for name in unknown]
            return next(iter(said), None)
        if train.split is not None and len(names) > 1:
            return f"must say of which dataset it is, as `split: {{{names[0]}: …}}`, since this study has {len(names)}"
        return None


@dataclass(frozen=True, slots=True)
class Study:
    """A study whose names are resolved.

    Attributes:
        file: the study file.
        content: its content.
        generators: what makes label versions, in the order of the file.
        trainer: None where nothing is trained.
    """

    file: Path
    content: StudyFile
    generators: tuple[Generator, ...]
    trainer: Tool | None

    def __repr__(self) -> str:
        """A line for notebooks, where the manifests of all tools would flood the cell."""
        versions = ", ".join(self.versions)
        networks = f"trained by {self.trainer.name}" if self.trainer else "none"
        return f"<Study {self.name}: {', '.join(self.content.datasets)}; {versions}; networks: {networks}>"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.content.name

    @property
    def reference(self) -> str:
        """The label version that counts as the truth: all others are scored against it."""
        return self.content.reference

    @property
    def versions(self) -> tuple[str, ...]:
        """The label versions that are compared with the reference: label sets of people, then those that tools make."""
        sets = [BASE, *(entry.name for entry in self.content.versions)]
        return (*(name for name in sets if name != self.reference), *(g.name for g in self.generators))

    @property
    def filled(self) -> tuple[str, ...]:
        """The label sets that the reference labels complete where networks are trained on them."""
        return tuple(entry.name for entry in self.content.versions if entry.missing)

    @property
    def tools(self) -> list[Tool]:
        """The tools that it uses, each once."""
        used = [generator.tool for generator in self.generators]
        generators = {(tool.name, tool.added and (tool.added.image, tool.added.id)): tool for tool in used}
        return [*generators.values(), *([self.trainer] if self.trainer else [])]

    @property
    def added(self) -> dict[str, AddedTool]:
        """Label version -> the foreign image that makes it."""
        return {g.name: g.tool.added for g in self.generators if g.tool.added}

    @property
    def data(self) -> Path:
        """Folder of dataset folders."""
        return (self.file.parent / self.content.data).resolve()

    @property
    def weights(self) -> Path:
        """Folder of trained weights; it need not exist where no tool has any."""
        return (self.file.parent / self.content.weights).resolve()

    @property
    def tools_folder(self) -> Path:
        """Folder of added tools; it need not exist where no generator is a foreign image."""
        return (self.file.parent / self.content.tools).resolve()

    @property
    def run_folder(self) -> Path:
        """Where results go."""
        return (self.file.parent / self.content.out / self.name).resolve()


def load_study(file: Path | str, tools: Mapping[str, Tool] | None = None) -> Study:
    """Read a study file and resolve the tools that it names.

    Args:
        file: `study.yaml`.
        tools: all tools by name; `find_tools()` when None.

    Returns:
        The study, whose `name`, `data` and `run_folder` say what it is and where; `make_plan` turns it into steps.

    Raises:
        UsageError: a key or value that is not allowed; one message lists all that one reading can find.
    """
    file = Path(file)
    tools = find_tools() if tools is None else tools
    content = yamlfiles.load(file, StudyFile)
    added = file.parent / content.tools
    problems: list[str] = []
    generators = []
    for index, entry in enumerate(content.generators):
        try:
            generators.append(resolve_generator(entry, tools, added))
        except ValueError as error:
            problems += [f"generators.{index}: {problem}" for problem in error.args]
    sets = [entry.name for entry in content.versions]
    names = [*sets, *(generator.name for generator in generators)]
    problems += [
        f"{'versions' if n in sets else 'generators'}: the name {n!r} came twice; give one of them another `name`"
        for n in find_duplicates(names)
    ]
    problems += [
        f"{'versions' if n in sets else 'generators'}: the name `{n}` is taken by {w}; choose another"
        for n, w in RESERVED.items()
        if n in names
    ]
    problems += [*_find_filling_problems(content, names), *find_shared_names(generators)]
    problems += _find_mix_problems(content, [BASE, *names])
    combined = []
    for generator in generators:
        try:
            combined.append(_choose_combined(generator, content, generators))
        except ValueError as error:
            problems += [f"generators: {generator.name}: {problem}" for problem in error.args]
    trainer = None
    if content.train is not None:
        trainer, trainer_problems = _find_trainer(content.train, tools)
        problems += trainer_problems
    if problems:
        raise UsageError(list_problems(str(file), problems))
    return Study(file.resolve(), content, tuple(combined), trainer)


def trainer_options(train: TrainSettings) -> dict[str, OptionValue]:
    """The study file's `train` section as options of the trainer, without seeds and split."""
    section = train.model_dump(exclude={"holdout", "split_seed", "split", "folds", "seeds", "noise_seeds", "options"})
    return {**{key.replace("_", "-"): value for key, value in section.items()}, **train.options}


def filled_name(label_set: str) -> str:
    """What a label set is called once the reference labels complete it."""
    return f"{label_set}-with-reference"


def find_duplicates(names: Sequence[str]) -> list[str]:
    """The names that come more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def _choose_combined(generator: Generator, content: StudyFile, generators: Sequence[Generator]) -> Generator:
    """The generator with the label versions that it combines: those that the study file names, or all others.

    Raises:
        ValueError: versions that can't be combined, fewer than two, or a tool that combines none.
    """
    if not generator.tool.manifest.combines_versions:
        if generator.of:
            raise ValueError(f"of: {generator.tool.name} makes its labels from images, so it combines no versions")
        return generator
    sets = [BASE, *(entry.name for entry in content.versions)]
    made = [g.name for g in generators if not g.tool.manifest.combines_versions]
    for name in generator.of:
        if name not in (*sets, *made):
            raise ValueError(
                f"of: must name label versions that are made from images or drawn, but {show_text(name)!r} is none; "
                f"{did_you_mean(name, (*sets, *made))}"
            )
    of = generator.of or tuple(name for name in (*sets, *made) if name not in (BASE, content.reference))
    if len(set(of)) < FEWEST_COMBINED or len(set(of)) != len(of):
        raise ValueError(f"of: must be at least {FEWEST_COMBINED} different label versions, but is {list(of)}")
    return replace(generator, of=of)


def _find_filling_problems(content: StudyFile, versions: Sequence[str]) -> Iterator[str]:
    """What is wrong with label sets that the reference labels complete."""
    for entry in (entry for entry in content.versions if entry.missing):
        if entry.name == content.reference:
            yield f"versions: {entry.name}: is the reference, so `missing: reference` says nothing; leave it out"
        if (taken := filled_name(entry.name)) in versions:
            yield f"versions: the name `{taken}` is taken by what completes {entry.name}; choose another"


def _find_mix_problems(content: StudyFile, versions: Sequence[str]) -> Iterator[str]:
    """What is wrong with the mixtures of a study.

    Args:
        content: of the study file.
        versions: its label versions, the datasets' own labels among them.
    """
    if (mix := content.mix) is None:
        return
    for key, name in (("better", mix.better), ("worse", mix.worse)):
        if name not in versions:
            yield f"mix: {key}: there is no label version {show_text(name)!r}; {did_you_mean(name, versions)}"
    if mix.better == mix.worse:
        yield f"mix: better and worse must be two label versions, but both are {show_text(mix.better)!r}"
    if "worst" in mix.by and content.reference not in (mix.better, mix.worse):
        yield (
            f"mix: by: `worst` ranks cases by the Dice of {mix.worse} with {mix.better}, so one of the two must be the "
            f"reference, but that is {content.reference}"
        )
    if content.train is None:
        yield "mix: shows what networks gain on mixed labels, but there is no `train` section; add `train: {}`"
    elif unknown := sorted(set(mix.seeds) - set(content.train.seeds)):
        yield f"mix: seeds: must be among `train.seeds`, {list(content.train.seeds)}, but {unknown} are not"
    if clashing := [name for name in versions if name.startswith(tuple(f"{mix.name}-{rule}-" for rule in mix.by))]:
        yield f"mix: the mixtures are called as {clashing[0]} is; choose another `name`"


def _find_trainer(train: TrainSettings, tools: Mapping[str, Tool]) -> tuple[Tool | None, list[str]]:
    trainers = [tool for tool in tools.values() if tool.manifest.kind == "trainer"]
    if not trainers:
        return None, ["train: there is no tool of kind trainer"]
    problems = trainers[0].manifest.option_problems(trainer_options(train))
    sizes = [int(size) for size in train.patch.split(",")] if PATCH.fullmatch(train.patch) else [SMALLEST_PATCH]
    if 1 <= min(sizes) <= max(sizes) < SMALLEST_PATCH:
        problems.insert(
            0, f"patch must have at least {SMALLEST_PATCH} voxels along one of its axes, but it is {train.patch!r}"
        )
    return trainers[0], [f"train: {problem}" for problem in problems]
