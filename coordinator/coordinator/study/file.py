"""The study file: which datasets and label versions, how they are scored, and whether networks are trained on them.

Every key has a default, a type, a range and a message. Paths are relative to the study file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from contract import yamlfiles
from contract.datasets import name_problem
from contract.errors import UsageError
from contract.manifest import OptionValue
from contract.yamlfiles import Items, Strict, did_you_mean
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.scoring.settings import Scoring
from coordinator.tools.finding import Tool, find_tools

NAME = r"^[a-z0-9][a-z0-9_-]{0,99}$"
RESERVED = {
    "base": "the reference labels",
    "images": "the image store",
    "store": "the image store",
    "no-pretrain": "networks that begin from scratch",
}


class GeneratorEntry(Strict):
    """A generator with options; the short form is a name alone, `tool` or `tool-variant`."""

    name: str = Field(pattern=NAME, description="name of the label version")
    tool: str
    variant: str | None = None
    options: dict[str, OptionValue] = Field(default_factory=dict)


class ScoreSettings(Strict):
    """How label maps are compared."""

    tolerance_mm: float = Field(default=1.0, gt=0, le=100, description="of all organs; the convention's if not given")
    also_mm: Items[float] = Field(default=(), description="further tolerances, columns of the score files")
    distances: bool = Field(default=False, description="also HD95 and average surface distance")
    empty: str = Field(
        default="flare21", description="convention: the rule for empty masks, of which the paper states none"
    )

    @field_validator("empty")
    @classmethod
    def _check_convention(cls, empty: str) -> str:
        if empty not in CONVENTIONS:
            raise ValueError(f"unknown convention {empty!r}; {did_you_mean(empty, CONVENTIONS)}")
        return empty

    @field_validator("also_mm")
    @classmethod
    def _check_tolerances(cls, also_mm: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(also_mm)) != len(also_mm) or not all(0 < tolerance_mm <= 100 for tolerance_mm in also_mm):
            raise ValueError(f"tolerances must be different and lie above 0 and up to 100 mm, but are {list(also_mm)}")
        return also_mm

    @property
    def scoring(self) -> Scoring:
        """How each organ is scored: by the convention, unless the study file says otherwise."""
        tolerance_mm = self.tolerance_mm if "tolerance_mm" in self.model_fields_set else None
        return CONVENTIONS[self.empty].scoring(tolerance_mm, tuple(self.also_mm), distances=self.distances)


class TrainSettings(Strict):
    """How networks are trained, one for each label version and seed.

    The paper states the defaults of epochs, batches_per_epoch, learning_rate, holdout and spacing (`paper.TRAINING`).
    It states no batch size, patch, filters or seeds, and none of the trainer's further options: those are ours.
    """

    epochs: int = Field(default=1000, ge=1)
    batches_per_epoch: int = Field(default=250, ge=1)
    batch_size: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, lt=1)
    holdout: float = Field(default=0.2, gt=0, lt=1, description="share of the cases that are held out")
    split_seed: int = Field(default=0, ge=0)
    seeds: Items[int] = Field(default=(0, 1, 2), min_length=1, description="a network for each, on each label version")
    noise_seeds: Items[int] = Field(
        default=(),
        description="further seeds of the networks on the reference labels alone: they show the noise of seeds",
    )
    patch: str = Field(default="auto", pattern=r"^(auto|\d+,\d+,\d+)$", description="voxels along x,y,z")
    spacing: str = Field(default="median", pattern=r"^(median|[\d.]+,[\d.]+,[\d.]+)$", description="mm along x,y,z")
    filters: str = Field(default="auto", pattern=r"^(auto|\d+(,\d+)*)$", description="channels of each stage")
    options: dict[str, OptionValue] = Field(default_factory=dict, description="further options of the trainer")

    @field_validator("seeds", "noise_seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(seed < 0 for seed in seeds) or len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must be different and not negative, but are {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _check_noise_seeds(self) -> "TrainSettings":
        if shared := sorted({*self.seeds} & {*self.noise_seeds}):
            raise ValueError(
                f"noise_seeds: must be further seeds, but {shared} are among `seeds`, which are {list(self.seeds)}; "
                "choose others, or give fewer `seeds`"
            )
        return self


class VerdictSettings(Strict):
    """When better labels are worth it, and how sure the report must be before it says so."""

    margin: float = Field(default=0.01, gt=0, lt=1, description="Dice; a smaller gain is worth nothing")
    surface_margin: float = Field(default=0.02, gt=0, lt=1, description="the same of surface Dice")
    alpha: float = Field(default=0.05, gt=0, le=0.5, description="chance that any claim of the report is wrong")
    failure_rate: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share of cases in which a network may fail; `not worth it` needs enough cases to have seen one",
    )
    minutes_per_mask: float = Field(default=10, gt=0, description="to draw one organ in one case; the paper assumes 10")
    max_hours_per_point: float | None = Field(
        default=None, gt=0, description="of annotation for each Dice point; dearer gains are not worth it"
    )
    seed_std: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="standard deviation of a network's Dice over seeds, for one seed",
    )
    seed_std_source: str | None = Field(
        default=None, min_length=1, description="where `seed_std` was measured; printed"
    )

    @model_validator(mode="after")
    def _check_source(self) -> "VerdictSettings":
        if (self.seed_std is None) != (self.seed_std_source is None):
            raise ValueError("seed_std and seed_std_source: give both or neither; the report prints the source")
        return self

    @property
    def margins(self) -> dict[str, float]:
        """Metric -> its margin."""
        return {"dice": self.margin, "surface_dice": self.surface_margin}


class RunSettings(Strict):
    """Where and how steps run."""

    runtime: Literal["auto", "docker", "process"] = "auto"
    place: Literal["local"] = "local"
    gpus: Literal["all"] | int | Items[int] = "all"
    cores: int | None = Field(default=None, ge=1, description="CPU cores to use at once; all when not given")
    threads: int | None = Field(default=None, ge=1, description="threads of each tool; its manifest's when not given")
    retries: int = Field(default=1, ge=0, le=10)


class StudyFile(Strict):
    """`study.yaml`."""

    name: str = Field(pattern=NAME)
    data: str = Field(default="data", description="folder of dataset folders")
    out: str = Field(default="runs", description="folder of run folders")
    weights: str = Field(default="weights", description="folder of trained weights")
    datasets: Items[str] = Field(min_length=1)
    generators: Items[str | GeneratorEntry] = Field(min_length=1)
    exclude: dict[str, dict[str, str]] = Field(default_factory=dict, description="dataset -> case -> reason")
    score: ScoreSettings = ScoreSettings()
    train: TrainSettings | None = None
    transfer: Items[str] = Field(default=(), description="datasets that trained networks are fine-tuned on")
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
    def _check_sections_fit(self) -> "StudyFile":
        for name in self.exclude:
            if name not in {*self.datasets, *self.transfer}:
                raise ValueError(f"exclude: {name!r} is no dataset of this study; {did_you_mean(name, self.datasets)}")
        if self.transfer and self.train is None:
            raise ValueError("transfer: needs networks to fine-tune, but there is no `train` section; add `train: {}`")
        return self


@dataclass(frozen=True, slots=True)
class Generator:
    """What makes a label version: a tool, one of its variants, all its options."""

    name: str
    tool: Tool
    variant: str
    options: dict[str, OptionValue]


@dataclass(frozen=True, slots=True)
class Study:
    """A study whose names are resolved.

    Attributes:
        file: the study file.
        content: its content.
        generators: label versions in the order of the file.
        trainer: None where nothing is trained.
    """

    file: Path
    content: StudyFile
    generators: tuple[Generator, ...]
    trainer: Tool | None

    def __repr__(self) -> str:
        """A line for notebooks, where the manifests of all tools would flood the cell."""
        generators = ", ".join(generator.name for generator in self.generators)
        networks = f"trained by {self.trainer.name}" if self.trainer else "none"
        return f"<Study {self.name}: {', '.join(self.content.datasets)}; {generators}; networks: {networks}>"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.content.name

    @property
    def tools(self) -> list[Tool]:
        """The tools that it uses, each once."""
        generators = {generator.tool.name: generator.tool for generator in self.generators}
        return [*generators.values(), *([self.trainer] if self.trainer else [])]

    @property
    def data(self) -> Path:
        """Folder of dataset folders."""
        return (self.file.parent / self.content.data).resolve()

    @property
    def weights(self) -> Path:
        """Folder of trained weights; it need not exist where no tool has any."""
        return (self.file.parent / self.content.weights).resolve()

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
    problems: list[str] = []
    generators = []
    for index, entry in enumerate(content.generators):
        try:
            generators.append(_resolve_generator(entry, tools))
        except ValueError as error:
            problems.append(f"generators.{index}: {error}")
    names = [generator.name for generator in generators]
    problems += [
        f"generators: the name {n!r} came twice; give one of them another `name`" for n in find_duplicates(names)
    ]
    problems += [
        f"generators: the name `{n}` is taken by {w}; choose another" for n, w in RESERVED.items() if n in names
    ]
    trainer = None
    if content.train is not None:
        trainer, trainer_problems = _find_trainer(content.train, tools)
        problems += trainer_problems
    if problems:
        raise UsageError(describe_problems(file, problems))
    return Study(file.resolve(), content, tuple(generators), trainer)


def trainer_options(train: TrainSettings) -> dict[str, OptionValue]:
    """The study file's `train` section as options of the trainer, without seeds and split."""
    section = train.model_dump(exclude={"holdout", "split_seed", "seeds", "noise_seeds", "options"})
    return {**{key.replace("_", "-"): value for key, value in section.items()}, **train.options}


def describe_problems(file: Path, problems: Sequence[str]) -> str:
    """All problems of a file as one message, a line each."""
    return "\n  ".join([f"{file}: {len(problems)} problem{'s' * (len(problems) > 1)}", *problems])


def find_duplicates(names: Sequence[str]) -> list[str]:
    """The names that come more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def _resolve_generator(entry: str | GeneratorEntry, tools: Mapping[str, Tool]) -> Generator:
    if isinstance(entry, str):
        tool_name, _, variant = entry.partition("-")
        entry = GeneratorEntry(name=entry, tool=tool_name, variant=variant or None)
    generators = {name: tool for name, tool in tools.items() if tool.manifest.kind == "generator"}
    if entry.tool not in generators:
        valid = [f"{n}-{v}" if v != t.manifest.default_variant else n
                 for n, t in generators.items() for v in t.manifest.variants]  # fmt: skip
        raise ValueError(f"there is no generator {entry.tool!r}; {did_you_mean(entry.name, valid)}")
    manifest = generators[entry.tool].manifest
    variant = entry.variant or manifest.default_variant
    manifest.variant(variant)
    return Generator(entry.name, generators[entry.tool], variant, manifest.complete_options(dict(entry.options)))


def _find_trainer(train: TrainSettings, tools: Mapping[str, Tool]) -> tuple[Tool | None, list[str]]:
    trainers = [tool for tool in tools.values() if tool.manifest.kind == "trainer"]
    if not trainers:
        return None, ["train: there is no tool of kind trainer"]
    tool = trainers[0]
    try:
        tool.manifest.complete_options(dict(trainer_options(train)))
    except ValueError as error:
        return tool, [f"train: {error}"]
    return tool, []
