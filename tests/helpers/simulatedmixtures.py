"""Mixtures with known truth: what networks lose by share of better labels, with draws, seeds and cases as noise."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from helpers.simulated import Generator

from coordinator.results.run import MIX_CASES, Mix, Run, RunDataset
from coordinator.study.split import Split

DATASET = "simulated"
ORGANS = 3


@dataclass(frozen=True, slots=True)
class MixShape:
    """What a study is like.

    Attributes:
        losses: rule -> what its networks lose against those on the better labels, by share from the smallest up.
        worst: what networks on the worse labels lose.
        cases: held-out cases.
        seeds: networks on each share; of random, each on a draw of its own.
        seed_std: standard deviation of a network's score over seeds.
        draw_std: further one over draws, the same for all shares of a draw.
        case_std: standard deviation of a loss from case to case; the shares of a rule have half of it in common.
    """

    losses: tuple[tuple[str, tuple[float, ...]], ...]
    worst: float = 0.05
    cases: int = 20
    seeds: int = 3
    seed_std: float = 0.005
    draw_std: float = 0.01
    case_std: float = 0.02


def draw_mixtures(template: Run, shape: MixShape, random: Generator) -> Run:
    """A run with the scores of one simulated study in place of the template's."""
    cases = [f"{case:03d}" for case in range(shape.cases)]
    dataset = RunDataset(
        DATASET, ("base",), {i + 1: f"organ {i}" for i in range(ORGANS)}, tuple(range(1, ORGANS + 1)), {},
        (Split(("t0", "t1", "t2", "t3"), tuple(cases)),), None, "",
    )  # fmt: skip
    common = random.normal(0.9, 0.02, (shape.cases, 1, ORGANS))
    plain = {"expert": 0.0, "base": shape.worst}
    frames = {name: _draw(shape, random, common, loss, 0.0, 0.0) for name, loss in plain.items()}
    curves: dict[str, dict[float, str]] = {}
    mixed = {}
    for rule, losses in shape.losses:
        shared = random.normal(0, shape.case_std, (shape.cases, 1, 1))
        draws = random.normal(0, shape.draw_std, (1, shape.seeds, 1)) if rule == "random" else 0.0
        for number, loss in enumerate(losses):
            share = (number + 1) / (len(losses) + 1)
            curves.setdefault(rule, {})[share] = f"mix-{rule}-{number}"
            mixed[f"mix-{rule}-{number}"] = _draw(shape, random, common, loss, shared, draws)
    mix = Mix("mix", "expert", "base", True, curves, _frame(mixed, cases), pl.DataFrame(schema=MIX_CASES))
    changes = {"datasets": (dataset,), "model_scores": _frame(frames, cases), "mix": mix, "reference": "expert"}
    return Run(**{name: changes.get(name, getattr(template, name)) for name in Run.__dataclass_fields__})


def _draw(shape: MixShape, random: Generator, common, loss: float, shared, draws) -> np.ndarray:
    """(cases, seeds, organs) Dice."""
    size = (shape.cases, shape.seeds, ORGANS)
    own = random.normal(0, shape.case_std, (shape.cases, 1, 1)) if loss else 0.0
    by_case = (own + shared) / 2**0.5
    seeds = random.normal(0, shape.seed_std, (1, shape.seeds, 1)) + random.normal(0, 0.01, (*size[:2], 1))
    return common - loss + by_case + draws + seeds + random.normal(0, 0.01, size)


def _frame(scores: dict[str, np.ndarray], cases: list[str]) -> pl.DataFrame:
    parts = []
    for version, dice in scores.items():
        case, seed, label = (index.ravel() for index in np.indices(dice.shape))
        parts.append(
            pl.DataFrame({"case": np.array(cases)[case], "seed": seed, "label": label + 1, "dice": dice.ravel()})
            .with_columns(
                (2 * pl.col("dice") - 1).alias("surface_dice"), pl.lit(DATASET).alias("dataset"),
                pl.lit(version).alias("version"), pl.lit(100).alias("reference_voxels"),
                pl.lit(100).alias("prediction_voxels"), pl.lit(0).alias("fold"),
            )
        )  # fmt: skip
    return pl.concat(parts)
