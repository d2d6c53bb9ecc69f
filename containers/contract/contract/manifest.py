"""`manifest.yaml`: everything that is known of a tool without running it.

`<tool> describe` prints it, the coordinator plans with it, and the tool's command line is made from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from contract import yamlfiles
from contract.errors import UsageError
from contract.yamlfiles import Items

OptionValue = bool | int | float | str
OUTSIDE_INPUTS = ("split", "label-version")
"""Inputs of a step that no step of the tool makes: the lists of cases, and the label maps of a label version."""


MOVING = frozenset({"develop", "head", "heads", "latest", "main", "master", "nightly", "trunk"})
"""Parts of an address that name whatever is newest: branches, and the release of the day."""


def is_mutable(url: str) -> bool:
    """Whether what an address gives changes as its owner goes on working: it names a branch, or the latest release."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return any(word.lower() in MOVING for word in words)


class Weights(yamlfiles.Strict):
    """Trained weights: below the weights folder (`<tool>/<file>`), or inside an installed Python package."""

    file: str = Field(pattern=r"^[\w][\w./+-]*$", description="a file, or the folder that an archive holds")
    package: str | None = Field(default=None, description="Python package that contains the file")
    url: str | None = Field(default=None, description="where to fetch it; None where that needs a person")
    page: str | None = Field(default=None, description="the page on which a person finds it")
    archive: Literal["zip"] | None = Field(
        default=None, description="`url` gives an archive that holds the folder `file`"
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$",
        description="of what `url` gives; None where upstream publishes none: then the first fetch records it",
    )  # fmt: skip
    unpinned: str | None = Field(
        default=None, min_length=1, description="why `url` names what upstream may replace, such as a branch"
    )
    size_mb: float | None = Field(default=None, gt=0, description="None where upstream does not say")
    licence: str
    terms: str | None = Field(default=None, description="what a person must agree to before it is fetched")

    @model_validator(mode="after")
    def _check_url(self) -> "Weights":
        if self.url and "/blob/" in self.url:
            raise ValueError(f"url: must give the file, but {self.url} shows its page; write /resolve/ or /raw/ there")
        if self.url and self.sha256 is None and self.unpinned is None and is_mutable(self.url):
            raise ValueError(
                f"url: must name one revision for ever, such as a commit in place of `main`, but is {self.url}; name "
                "one, or give its sha256, or say under `unpinned:` why neither is known"
            )
        return self


class Variant(yamlfiles.Strict):
    """One size or flavour of a tool."""

    summary: str
    labels: Literal["from-dataset"] | dict[int, str] = Field(description="native id -> organ, or the dataset's own")
    weights: Items[Weights] = ()


class Option(yamlfiles.Strict):
    """A tool's own option; `--box-margin` is written `box-margin` here and `TOOL_BOX_MARGIN` in the environment."""

    type: Literal["bool", "int", "float", "str"]
    default: OptionValue
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: Items[str] = ()
    steps: Items[str] = Field(default=(), description="steps whose results depend on it; all, where none is named")

    @model_validator(mode="after")
    def _check_default(self) -> "Option":
        self.check("default", self.default)
        return self

    def check(self, name: str, value: object) -> OptionValue:
        """Check a value of this option and return it.

        Raises:
            ValueError: another type, out of range, or none of the choices.
        """
        kinds = {"bool": bool, "int": int, "float": (int, float), "str": str}
        if not isinstance(value, kinds[self.type]) or (isinstance(value, bool) and self.type != "bool"):  # type: ignore[arg-type]
            raise ValueError(f"{name} must be {self.type}, but it is {value!r}")
        if self.choices and value not in self.choices:
            raise ValueError(f"{name} must be one of {', '.join(self.choices)}, but it is {value!r}")
        if isinstance(value, int | float):
            if self.minimum is not None and value < self.minimum:
                raise ValueError(f"{name} must be at least {self.minimum:g}, but it is {value!r}")
            if self.maximum is not None and value > self.maximum:
                raise ValueError(f"{name} must be at most {self.maximum:g}, but it is {value!r}")
        return float(value) if self.type == "float" else value  # type: ignore[return-value, arg-type]


class Step(yamlfiles.Strict):
    """One of several things that a tool does, chosen with `--step`."""

    summary: str
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="name below /in -> the step of this tool that makes it, or `split` or `label-version`, "
        "which the coordinator gives",
    )
    optional_inputs: Items[str] = Field(default=(), description="names below /in that may be there, from outside")
    reads: Items[Literal["images", "labels"]] = Field(default=(), description="what it reads of the dataset")
    gpu: bool = Field(default=True, description="whether it uses the GPU that `resources` asks for")
    shared: bool = Field(
        default=False, description="whether studies with the same inputs share one copy of its results"
    )


class Resources(yamlfiles.Strict):
    """What a run needs; the thread count is part of a result's fingerprint, so it does not follow the machine."""

    cpus: int = Field(default=1, ge=1)
    memory_gb: float = Field(default=4, gt=0)
    shm_mb: int = Field(default=64, ge=64)
    tmp_mb: int = Field(default=1024, ge=64, description="most that it may hold in /tmp, which is memory")
    processes: int = Field(default=1024, ge=64, description="most processes and threads at once; a bound on accidents")
    gpu: Literal["none", "optional", "required"] = "none"
    gpu_memory_gb: float = Field(default=0, ge=0)


class Check(yamlfiles.Strict):
    """How `coordinator tool check` keeps a run small: on how many cases, with which options."""

    cases: int = Field(default=3, ge=3)
    options: dict[str, OptionValue] = Field(default_factory=dict)


class LabelTraining(yamlfiles.Strict):
    """That a tool trains networks on the reference labels before it labels the cases."""

    without_held_out: dict[str, OptionValue] = Field(
        default_factory=dict,
        description="options with which it learns nothing from a study's held-out cases; where none are named, it "
        "always learns from the labels of all cases",
    )


class Upstream(yamlfiles.Strict):
    """Whose method a tool wraps."""

    name: str
    url: str
    version: str
    licence: str
    citation: str


class Manifest(yamlfiles.Strict):
    """`manifest.yaml` of a tool."""

    contract: Literal[1]
    name: str = Field(pattern="^[a-z][a-z0-9]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
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
    variants: dict[str, Variant] = Field(min_length=1)
    options: dict[str, Option] = Field(default_factory=dict)
    steps: dict[str, Step] = Field(default_factory=dict, description="in order; the last one makes the label version")
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
            raise ValueError(f"{self.name} has no variant {name!r}; {yamlfiles.did_you_mean(name, self.variants)}")
        return self.variants[name]

    def complete_options(self, values: dict[str, object]) -> dict[str, OptionValue]:
        """All options of the tool: the given values, defaults for the others.

        Raises:
            ValueError: an unknown option or an impossible value.
        """
        for name in values:
            if name not in self.options:
                raise ValueError(f"{self.name} has no option {name!r}; {yamlfiles.did_you_mean(name, self.options)}")
        return {name: option.check(name, values.get(name, option.default)) for name, option in self.options.items()}


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
