"""`manifest.yaml`: everything that is known of a tool without running it.

`<tool> describe` prints it, the coordinator plans with it, and the tool's command line is made from it.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from contract import yamlfiles
from contract.errors import UsageError
from contract.labeltables import LabelTable
from contract.weightentries import Weights
from contract.yamlfiles import Items
from contract.yamlnodes import show_text

OptionValue = bool | int | float | str
LABEL_VERSIONS = "label-versions"
OUTSIDE_INPUTS = ("split", "label-version", LABEL_VERSIONS)
"""Inputs of a step that no step of the tool makes: the lists of cases, the label maps of a label version, and those of
several, each in a folder of its name."""


RESERVED = frozenset({
    "help", "command", "dataset", "variant", "step", "cases", "shard", "device", "threads", "label-version",
    "overwrite", "data", "out", "weights", "inputs",
})  # fmt: skip
"""Options that every tool's command line has."""
MOST_INTEGER = 2**63 - 1


def _check_option_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(
            f"must be lower-case words with - between them, such as box-margin, but it is {show_text(name)!r}"
        )
    if name.removeprefix("no-") in RESERVED:
        raise ValueError(f"every tool's command line has an option --{name.removeprefix('no-')}; choose another name")
    return name


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", name):
        raise ValueError(
            "must be at most 60 lower-case letters, digits, - and _, since it names a folder, but it is "
            f"{show_text(name)!r}"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
OptionName = Annotated[str, AfterValidator(_check_option_name)]


class Upstream(yamlfiles.Strict):
    """Whose method a tool wraps."""

    name: str
    url: str
    version: str
    licence: str
    citation: str


class Variant(yamlfiles.Strict):
    """One size or flavour of a tool."""

    summary: str
    labels: Literal["from-dataset"] | Annotated[LabelTable, Field(min_length=1)] = Field(
        description="native id -> organ, or the dataset's own"
    )
    weights: Items[Weights] = ()
    upstream: Upstream | None = Field(default=None, description="where it is another's than the tool's")


class Numbers(yamlfiles.Strict):
    """That a text option holds one word, such as auto, or numbers with commas between them."""

    word: str = Field(pattern="^[a-z]+$", description="instead of numbers")
    type: Literal["int", "float"] = "int"
    least: int = Field(default=1, ge=1, le=100, description="how many, at least")
    most: int = Field(ge=1, le=100, description="how many, at most")
    minimum: float
    maximum: float

    def problem(self, text: str) -> str | None:
        """What must hold and does not; None where all does."""
        parts = text.split(",")
        digits = (
            r"[0-9]{1,18}" if self.type == "int" else r"(?=.{1,30}$)([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?"
        )
        count = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        kind = "whole numbers" if self.type == "int" else "numbers"
        what = f"must be {self.word} or {count} {kind} of {self.minimum:g} to {self.maximum:g} with commas between them"
        if text == self.word:
            return None
        if not self.least <= len(parts) <= self.most or not all(re.fullmatch(digits, part) for part in parts):
            return what
        return None if all(self.minimum <= float(part) <= self.maximum for part in parts) else what


class Option(yamlfiles.Strict):
    """A tool's own option; `--box-margin` is written `box-margin` here and `TOOL_BOX_MARGIN` in the environment."""

    type: Literal["bool", "int", "float", "str"]
    default: OptionValue
    help: str
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = Field(default=None, ge=1, le=1_000_000)
    choices: Items[str] = ()
    pattern: str | None = Field(default=None, max_length=200, description="regular expression of the whole text")
    numbers: Numbers | None = None
    steps: Items[str] = Field(default=(), description="steps whose results depend on it; all, where none is named")

    @model_validator(mode="after")
    def _check_default(self) -> "Option":
        if self.type not in {"int", "float"} and {self.minimum, self.maximum, self.multiple_of} != {None}:
            raise ValueError(f"minimum, maximum and multiple_of are for numbers, but the type is {self.type}")
        if self.type != "str" and (self.choices or self.pattern or self.numbers):
            raise ValueError(f"choices, pattern and numbers are for texts (`type: str`), but the type is {self.type}")
        try:
            re.compile(self.pattern or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"pattern must be a regular expression, but: {error}") from None
        self.check("default", self.default)
        return self

    def check(self, name: str, value: object) -> OptionValue:
        """Check a value of this option and return it.

        Raises:
            ValueError: another type, out of range, or none of the choices.
        """
        kinds = {"bool": bool, "int": int, "float": (int, float), "str": str}
        shown = show_text(repr(value), 80)
        if not isinstance(value, kinds[self.type]) or (isinstance(value, bool) and self.type != "bool"):  # type: ignore[arg-type]
            raise ValueError(f"{name} must be {self.type}, but it is {shown}")
        if isinstance(value, str):
            problem = self._problem_of_text(value)
        else:
            problem = None if isinstance(value, bool) else self._problem_of_number(value)  # type: ignore[arg-type]
        if problem:
            raise ValueError(f"{name} {problem}, but it is {shown}")
        return float(value) if self.type == "float" else value  # type: ignore[return-value, arg-type]

    def _problem_of_text(self, value: str) -> str | None:
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"must match {self.pattern}"
        return self.numbers.problem(value) if self.numbers else None

    def _problem_of_number(self, value: float) -> str | None:
        if not math.isfinite(value):
            return "must be a finite number"
        if self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum:g}"
        if isinstance(value, int) and abs(value) > MOST_INTEGER:
            return f"must be at most {MOST_INTEGER}" if value > 0 else f"must be at least {-MOST_INTEGER}"
        if self.multiple_of is not None and value % self.multiple_of:
            return f"must be a multiple of {self.multiple_of}"
        return None


class Step(yamlfiles.Strict):
    """One of several things that a tool does, chosen with `--step`."""

    summary: str
    inputs: dict[Name, str] = Field(
        default_factory=dict,
        description="name below /in -> the step of this tool that makes it, or `split`, `label-version` or "
        "`label-versions`, which the coordinator gives",
    )
    optional_inputs: Items[Name] = Field(default=(), description="names below /in that may be there, from outside")
    reads: Items[Literal["images", "labels"]] = Field(default=(), description="what it reads of the dataset")
    gpu: bool = Field(default=True, description="whether it uses the GPU that `resources` asks for")
    shared: bool = Field(
        default=False, description="whether studies with the same inputs share one copy of its results"
    )


class Resources(yamlfiles.Strict):
    """What a run needs; the thread count is part of a result's fingerprint, so it does not follow the machine."""

    cpus: int = Field(default=1, ge=1, le=1024)
    memory_gb: float = Field(default=4, gt=0, le=100_000)
    shm_mb: int = Field(default=64, ge=64, le=65_536)
    tmp_mb: int = Field(default=1024, ge=64, le=65_536, description="most that it may hold in /tmp, which is memory")
    processes: int = Field(
        default=1024, ge=64, le=16_384, description="most processes and threads at once; a bound on accidents"
    )
    gpu: Literal["none", "optional", "required"] = "none"
    gpu_memory_gb: float = Field(default=0, ge=0, le=10_000)


class Check(yamlfiles.Strict):
    """How `coordinator tool check` keeps a run small: on how many cases, with which options."""

    cases: int = Field(default=3, ge=3, le=1000)
    options: dict[str, OptionValue] = Field(default_factory=dict)


class LabelTraining(yamlfiles.Strict):
    """That a tool trains networks on the reference labels before it labels the cases."""

    without_held_out: dict[str, OptionValue] = Field(
        default_factory=dict,
        description="options with which it learns nothing from a study's held-out cases; where none are named, it "
        "always learns from the labels of all cases",
    )


class Manifest(yamlfiles.Strict):
    """`manifest.yaml` of a tool."""

    contract: Literal[1]
    name: str = Field(pattern="^[a-z][a-z0-9]*$", max_length=60)
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$", max_length=60)
    kind: Literal["generator", "trainer"]
    summary: str
    licence: str
    upstream: Upstream | None = None
    needs: Items[Literal["labels"]] = Field(default=(), description="what it reads beside images")
    prompts: Literal["ground-truth"] | None = Field(
        default=None, description="where a promptable model's prompts come from"
    )
    trains_on_labels: LabelTraining | None = Field(
        default=None, description="given where it trains networks on the reference labels"
    )
    resources: Resources = Resources()
    default_variant: str
    variants: dict[Name, Variant] = Field(min_length=1)
    options: dict[OptionName, Option] = Field(default_factory=dict)
    steps: dict[Name, Step] = Field(default_factory=dict, description="in order; the last one makes the label version")
    check: Check = Check()

    @model_validator(mode="after")
    def _check_names(self) -> "Manifest":
        self.variant(self.default_variant)
        self.complete_options(dict(self.check.options))
        if self.trains_on_labels is not None:
            if "labels" not in self.needs:
                raise ValueError("trains_on_labels: must come with `needs: [labels]`, but that is missing; add it")
            self.complete_options(dict(self.trains_on_labels.without_held_out))
        for name, option in self.options.items():
            if unknown := set(option.steps) - set(self.steps):
                raise ValueError(f"options.{name}.steps: {sorted(unknown)[0]!r} is no step of this tool")
        for index, (name, step) in enumerate(self.steps.items()):
            earlier = [*list(self.steps)[:index], *OUTSIDE_INPUTS]
            for source in step.inputs.values():
                if source not in earlier:
                    raise ValueError(f"steps.{name}.inputs: {source!r} is no earlier step, nor one of {OUTSIDE_INPUTS}")
        return self

    @property
    def combines_versions(self) -> bool:
        """Whether it makes its labels of other label versions."""
        return any(LABEL_VERSIONS in step.inputs.values() for step in self.steps.values())

    @property
    def is_self_contained(self) -> bool:
        """Whether all steps can be done one after the other, without inputs from outside."""
        return not any(source in OUTSIDE_INPUTS for step in self.steps.values() for source in step.inputs.values())

    def learns_held_out(self, options: Mapping[str, OptionValue]) -> bool:
        """Whether it learns, with these options, from the labels of cases that a study holds out."""
        return self.trains_on_labels is not None and not self.leaves_held_out(options)

    def leaves_held_out(self, options: Mapping[str, OptionValue]) -> bool:
        """Whether it must know, with these options, which cases a study holds out, and learns nothing from them."""
        apart = self.trains_on_labels.without_held_out if self.trains_on_labels else {}
        return bool(apart) and all(options.get(name) == value for name, value in apart.items())

    def option_names(self, step: str | None) -> tuple[str, ...]:
        """Names of the options that a step's results depend on."""
        return tuple(name for name, o in self.options.items() if not (step and o.steps) or step in o.steps)

    def reads(self, step: str | None) -> frozenset[str]:
        """What a step reads of the dataset: images, labels; without steps, what the tool reads."""
        return frozenset(self.steps[step].reads if step else ("images", *self.needs))

    def variant(self, name: str) -> Variant:
        """A variant by name.

        Raises:
            ValueError: there is none of that name; the nearest is given.
        """
        if name not in self.variants:
            raise ValueError(
                f"{self.name} has no variant {show_text(name)!r}; {yamlfiles.did_you_mean(name, self.variants)}"
            )
        return self.variants[name]

    def complete_options(self, values: Mapping[str, object]) -> dict[str, OptionValue]:
        """All options of the tool: the given values, defaults for the others.

        Raises:
            ValueError: an unknown option or an impossible value.
        """
        if problems := self.option_problems(values):
            raise ValueError(problems[0])
        return {name: option.check(name, values.get(name, option.default)) for name, option in self.options.items()}

    def option_problems(self, values: Mapping[str, object]) -> list[str]:
        """All that is wrong with given options, each beginning with its name."""
        problems = []
        for name, value in values.items():
            if name not in self.options:
                near = yamlfiles.did_you_mean(name, self.options)
                problems.append(f"{self.name} has no option {show_text(name)!r}; {near}")
                continue
            try:
                self.options[name].check(name, value)
            except ValueError as error:
                problems.append(str(error))
        return problems


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a tool's folder.

    Raises:
        UsageError: missing or unsound.
    """
    file = folder / "manifest.yaml"
    manifest = yamlfiles.load(file, Manifest)
    if folder.name not in {manifest.name, "app"}:
        raise UsageError(f"{file}: name must be the folder's, {folder.name!r}, but it is {manifest.name!r}")
    return manifest
