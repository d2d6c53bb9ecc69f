"""The sections of a study file: their keys, defaults and ranges; some ranges are in the trainer's manifest."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from contract.manifest import OptionValue
from contract.yamlfiles import Items, Line, Strict, did_you_mean
from contract.yamlnodes import show_text
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.scoring.settings import Scoring

LARGEST_SEED = 2**31 - 1
MOST_GPUS = 1024


class ScoreSettings(Strict):
    """How label maps are compared."""

    tolerance_mm: float = Field(default=1.0, gt=0, le=100, description="of all organs; the convention's if not given")
    also_mm: Items[float] = Field(
        default=(), max_length=20, description="further tolerances, columns of the score files"
    )
    distances: bool = Field(default=False, description="also HD95 and average surface distance")
    empty: str = Field(
        default="flare21", description="convention: the rule for empty masks, of which the paper states none"
    )

    @field_validator("empty")
    @classmethod
    def _check_convention(cls, empty: str) -> str:
        if empty not in CONVENTIONS:
            raise ValueError(f"unknown convention {show_text(empty)!r}; {did_you_mean(empty, CONVENTIONS)}")
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


class GivenSplit(Strict):
    """A split that is not drawn: the cases of both sides, or a JSON file that holds them."""

    file: Line | None = Field(default=None, description='{"train": [case], "holdout": [case]}, or nnU-Net\'s folds')
    fold: int | None = Field(default=None, ge=0, le=10_000, description="of a file that holds several")
    train: Items[Line] = Field(default=(), max_length=1_000_000)
    holdout: Items[Line] = Field(default=(), max_length=1_000_000)

    @model_validator(mode="after")
    def _check_form(self) -> "GivenSplit":
        has_cases = bool(self.train) and bool(self.holdout)
        if (self.file is None) != has_cases or (self.file and (self.train or self.holdout)):
            raise ValueError("must give `train` and `holdout`, each with a case, or a `file` that has them")
        if self.file is None and self.fold is not None:
            raise ValueError("fold: is of a `file` with several folds, but there is no `file`")
        return self


def _form_of_split(value: object) -> str:
    """Which form a given split has, so that what is said of it is about that form."""
    if isinstance(value, dict):
        return "cases" if set(value) & set(GivenSplit.model_fields) or not value else "datasets"
    return "cases" if isinstance(value, GivenSplit) else "file"


SplitOfOne = Annotated[
    Annotated[Line, Tag("file")] | Annotated[GivenSplit, Tag("cases")], Discriminator(_form_of_split)
]
SplitForm = Annotated[
    Annotated[Line, Tag("file")]
    | Annotated[GivenSplit, Tag("cases")]
    | Annotated[dict[str, SplitOfOne], Tag("datasets")],
    Discriminator(_form_of_split),
]


class TrainSettings(Strict):
    """How networks are trained, one for each label version and seed.

    The paper states the defaults of epochs, batches_per_epoch, learning_rate, holdout and spacing (`paper.TRAINING`).
    It states no batch size, patch, filters or seeds, and none of the trainer's further options: those are ours.
    """

    epochs: int = Field(default=1000, ge=1, le=1_000_000)
    batches_per_epoch: int = Field(default=250, ge=1, le=1_000_000)
    batch_size: int = Field(default=2, ge=1, le=1024)
    learning_rate: float = Field(default=1e-3, gt=0, lt=1)
    holdout: float = Field(default=0.2, gt=0, lt=1, description="share of the cases that are held out")
    split_seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    split: SplitForm | None = Field(
        default=None, description="instead of a drawn split: a file, or cases; of several datasets, by their names"
    )
    folds: int | None = Field(
        default=None, ge=2, le=1000,
        description="instead of one split: every case is held out once, with networks of their own for each fold",
    )  # fmt: skip
    seeds: Items[int] = Field(
        default=(0, 1, 2), min_length=1, max_length=1000, description="a network for each, on each label version"
    )
    noise_seeds: Items[int] = Field(
        default=(),
        max_length=1000,
        description="further seeds of the networks on the reference labels alone: they show the noise of seeds",
    )
    patch: str = Field(default="auto", description="voxels along x,y,z")
    spacing: str = Field(default="median", description="mm along x,y,z")
    filters: str = Field(default="auto", description="channels of each stage")
    options: dict[str, OptionValue] = Field(default_factory=dict, description="further options of the trainer")

    @field_validator("seeds", "noise_seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(seed < 0 for seed in seeds) or len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must be different and not negative, but are {list(seeds)}")
        if max(seeds, default=0) > LARGEST_SEED:
            raise ValueError(f"seeds must be at most {LARGEST_SEED}, but one is {max(seeds)}")
        return seeds

    def given_split(self, dataset: str) -> GivenSplit | None:
        """The split of a dataset that is given; None where it is drawn."""
        given = self.split.get(dataset) if isinstance(self.split, dict) else self.split
        return GivenSplit(file=given) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check_folds(self) -> "TrainSettings":
        if self.folds and (other := next((name for name in ("holdout", "split") if name in self.model_fields_set), "")):
            raise ValueError(f"folds: hold every case out once, so `{other}` has nothing to say; give one of the two")
        return self

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
    alpha: float = Field(default=0.05, ge=0.0001, le=0.5, description="chance that any claim of the report is wrong")
    failure_rate: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share of cases in which a network may fail; `not worth it` needs enough cases to have seen one",
    )
    minutes_per_mask: float = Field(
        default=10, gt=0, le=100_000, description="to draw one organ in one case; the paper assumes 10"
    )
    max_hours_per_point: float | None = Field(
        default=None, gt=0, le=1e9, description="of annotation for each Dice point; dearer gains are not worth it"
    )
    seed_std: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="standard deviation of a network's Dice over seeds, for one seed",
    )
    seed_std_source: Line | None = Field(default=None, description="where `seed_std` was measured; printed")

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

    runtime: Literal["auto", "docker", "apptainer", "process"] = "auto"
    place: Literal["local", "slurm", "kubernetes"] = Field(
        default="local", description="this machine, or jobs of a cluster; the runtime of kubernetes is its own"
    )
    gpus: Literal["all"] | int | Items[int] = "all"
    cores: int | None = Field(default=None, ge=1, le=4096, description="CPU cores to use at once; all when not given")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="threads of each tool; its manifest's when not given"
    )
    retries: int = Field(default=1, ge=0, le=10)

    @field_validator("gpus")
    @classmethod
    def _check_gpus(cls, gpus: Any) -> Any:  # noqa: ANN401 - one of three types
        listed = [gpus] if isinstance(gpus, int) else gpus if isinstance(gpus, tuple) else []
        if any(not 0 <= gpu <= MOST_GPUS for gpu in listed) or len(set(listed)) != len(listed):
            came = list(gpus) if isinstance(gpus, tuple) else gpus
            raise ValueError(f"must be all, a number of 0 to {MOST_GPUS} or a list of different ones, but it is {came}")
        return gpus
