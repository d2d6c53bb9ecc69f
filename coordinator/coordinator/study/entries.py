"""What a study file says of label versions that no tool makes: who drew them, how they are mixed."""

from typing import Any, Literal

from pydantic import Field, field_validator

from contract.yamlfiles import Items, Line, Strict
from coordinator.study.steps import BASE

NAME = r"^[a-z0-9][a-z0-9_-]{0,99}$"
"""Of a study or label version."""


class LabelSetEntry(Strict):
    """Labels that people drew or corrected, beside the dataset's own: a label version that no tool makes."""

    name: str = Field(pattern=NAME, max_length=100, description="name of the label version")
    labels: Line = Field(description="folder of <case>.nii.gz, relative to the dataset's folder")
    remap: Line | None = Field(
        default=None, description="label map, relative to this file; without one, ids are the dataset's"
    )
    missing: Literal["reference"] | None = Field(
        default=None, description="whose labels networks are trained on where the set has none; then it is a mixture"
    )


class MixEntry(Strict):
    """Label versions in which some training cases have better labels: how many are worth correcting?"""

    name: str = Field(pattern=NAME, max_length=60, description="the first part of their names")
    better: Line = Field(description="label version that some training cases have the labels of")
    worse: Line = Field(default=BASE, description="label version that the others have the labels of")
    shares: Items[float] = Field(
        default=(0.1, 0.25, 0.5, 0.75),
        min_length=1,
        max_length=20,
        description="of the training cases",
    )
    by: Items[Literal["random", "worst", "worklist"]] = Field(
        default=("random",), min_length=1, max_length=3, description="how the cases are chosen; one rule or several"
    )
    seeds: Items[int] = Field(
        default=(), max_length=1000, description="of `train.seeds`; those of the networks on each share; all by default"
    )

    @field_validator("by", mode="before")
    @classmethod
    def _list_rules(cls, by: Any) -> Any:  # noqa: ANN401 - before validation it may be anything
        return [by] if isinstance(by, str) else by

    @field_validator("shares")
    @classmethod
    def _check_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        percents = [100 * share for share in shares]
        if not all(0 < p < 100 and abs(p - round(p)) < 1e-9 for p in percents) or len(set(shares)) != len(shares):
            raise ValueError(f"must be different shares of 0.01 to 0.99 in whole percent, but are {list(shares)}")
        return tuple(sorted(shares))

    @field_validator("by", "seeds")
    @classmethod
    def _check_different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"must be different, but are {list(values)}")
        return values
