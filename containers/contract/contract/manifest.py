"""`manifest.yaml`: everything that is known of a tool without running it.

It is what `<tool> describe` prints, what the coordinator plans with, and where a tool's command line comes from.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from contract import yamlfiles
from contract.errors import UsageError
from contract.yamlfiles import Items

OptionValue = bool | int | float | str


class Weights(yamlfiles.Strict):
    """A file of trained weights: below the weights folder (`<tool>/<file>`), or inside an installed Python package."""

    file: str
    package: str | None = Field(default=None, description="Python package that contains the file")
    url: str | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_mb: float = Field(gt=0)
    licence: str


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

    @model_validator(mode="after")
    def _default_is_valid(self) -> "Option":
        self.check("default", self.default)
        return self

    def check(self, name: str, value: object) -> OptionValue:
        """Give back a value of this option.

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
    inputs: Items[str] = Field(default=(), description="folders of earlier steps it reads, below /in")
    reads: Items[Literal["images", "labels"]] = Field(default=(), description="what it reads of the dataset")


class Resources(yamlfiles.Strict):
    """What a run needs; the thread count is part of a result's identity, so it does not follow the machine."""

    cpus: int = Field(default=1, ge=1)
    memory_gb: float = Field(default=4, gt=0)
    shm_mb: int = Field(default=64, ge=64)
    gpu: Literal["none", "optional", "required"] = "none"
    gpu_memory_gb: float = Field(default=0, ge=0)


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
    resources: Resources = Resources()
    default_variant: str
    variants: dict[str, Variant] = Field(min_length=1)
    options: dict[str, Option] = Field(default_factory=dict)
    steps: dict[str, Step] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _default_variant_exists(self) -> "Manifest":
        self.variant(self.default_variant)
        return self

    def variant(self, name: str) -> Variant:
        """A variant by name.

        Raises:
            ValueError: there is none of that name; the nearest is given.
        """
        if name not in self.variants:
            raise ValueError(f"{self.name} has no variant {name!r}; {yamlfiles.did_you_mean(name, self.variants)}")
        return self.variants[name]

    def checked_options(self, given: dict[str, object]) -> dict[str, OptionValue]:
        """All options of the tool: the given values, defaults for the others.

        Raises:
            ValueError: an unknown option or an impossible value.
        """
        for name in given:
            if name not in self.options:
                raise ValueError(f"{self.name} has no option {name!r}; {yamlfiles.did_you_mean(name, self.options)}")
        return {name: option.check(name, given.get(name, option.default)) for name, option in self.options.items()}


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
