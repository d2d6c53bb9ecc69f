"""The numbers of the paper's Tables 1 to 3, to compare ours with, and what else it states of its study.

Jaus et al., "Good Enough: Is it Worth Improving your Label Quality?" (2025). In percent, as printed, with the names
that our label versions and datasets have: `label_quality` is Table 1, `segthor` Table 2, `flare` Table 3, where
`dataset` is what a network was pre-trained on.

Missing are two cells of Table 1 without a number in our copy (TotalSegmentator on BTCV, STU-Net L on AbdomenAtlas),
and Fig. 2, which shows no numbers: so the correlation of label quality and in-domain performance can't be tested.
Networks that did not converge, a dash in the paper, are rows without numbers.

Table 1's ± of Surface Dice is not the deviation of eq. 2: in 32 of its 33 cells it is the square root of the cell's
mean in percent, to the printed digit (sqrt 77.9 = 8.8). So it is not to be compared with ours. The odd cell, STU-Net B
on AMOS (66.7 ± 8.3), has the square root of a mean between 68.1 and 69.7: its mean is likely a misprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import polars as pl

TABLES = ("label_quality", "segthor", "flare")
UNREADABLE = (("totalseg", "btcv"), ("stunet-large", "abdomenatlas"))
"""(version, dataset) of Table 1 without a number in our copy."""
DATASETS = {"amos22": "amos", "abdomenct1k": "ct1k", "abdomenct-1k": "ct1k", "abdomenatlas10": "abdomenatlas"}
"""Our names of datasets -> the paper's, where these differ."""
SIZES = MappingProxyType(
    {"btcv": (30, 13), "word": (100, 16), "amos": (200, 15), "ct1k": (1000, 4), "abdomenatlas": (5200, 9)}
)
"""The paper's datasets -> cases and organs."""
DROPPED_ORGANS = MappingProxyType({"word": 1, "amos": 1})
"""How many organs its means leave out: rectum of WORD, prostate of AMOS."""
TARGETS = {"segthor": "segthor", "flare21": "flare", "flare22": "flare", "flare": "flare"}
"""Our names of target datasets -> their table."""
OTHER_TARGETS = MappingProxyType({
    "flare22": "flare22 (13 organs) stands beside the paper's FLARE, which by its reference is FLARE21 (4 organs)",
    "flare": "flare stands beside the paper's FLARE, which by its reference is FLARE21; whether it is was not recorded",
})  # fmt: skip
"""Target datasets that are not the paper's own, and how they differ."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator of the paper that a tool's variant stands for.

    Attributes:
        version: the paper's name of its label version.
        difference: what is different from the paper's, as a sentence without its subject; empty where nothing is known.
    """

    version: str
    difference: str = ""


GENERATORS: Mapping[tuple[str, str], Generator] = MappingProxyType({
    ("nnunet", "3d_fullres"): Generator("nnunet", "is nnU-Net's 3d_fullres; the paper names no configuration"),
    ("medsam", "vit-b"): Generator("medsam"),
    ("medsam", "lite"): Generator("medsam", "is LiteMedSAM, but the paper has MedSAM"),
    ("totalseg", "total"): Generator(
        "totalseg", "is version 2 of TotalSegmentator (117 structures), but the paper cites that of 104 structures"
    ),
    **{("stunet", size): Generator(f"stunet-{size}") for size in ("small", "base", "large", "huge")},
})  # fmt: skip
"""(tool, variant) -> the paper's generator. Other tools and variants have no counterpart in the paper."""

TRAINING: Mapping[str, int | float | str] = MappingProxyType(
    {"epochs": 1000, "batches_per_epoch": 250, "learning_rate": 1e-3, "spacing": "median", "holdout": 0.2}
)
"""All that the paper states of training as a value of our `train` section."""
TRAINING_IN_WORDS = (
    "a DynUNet",
    f"{TRAINING['epochs']} epochs of exactly {TRAINING['batches_per_epoch']} batches",
    f"AdamW with a learning rate that falls from {TRAINING['learning_rate']:g} along a cosine",
    "images at the median resolution of each dataset",
    "patches of one size for all label versions of a dataset",
    f"one random split with {100 * float(TRAINING['holdout']):g} % of the cases for evaluation",
    "deterministic training",
    "fine-tuning in the same way, with crop size, resolution and normalisation of the pre-trained network",
)
"""All that it states of training, in words (its sections 3 and 3.2). It states no loss, deep supervision, augmentation,
batch size, weight decay, precision, patch size, kind of normalisation, validation, choice of checkpoint or number of
seeds: what a trainer does there is its own choice."""


def table(name: str) -> pl.DataFrame:
    """One of the paper's tables.

    Args:
        name: one of `TABLES`.

    Returns:
        One row for each version and dataset, in the paper's order. Columns: version, dataset, dice, dice_std,
        surface_dice, surface_dice_std; the numbers of a network that did not converge are null.
    """
    return pl.read_csv(Path(__file__).parent / f"{name}.csv", schema_overrides={"dice": pl.Float64})


def cell(name: str, version: str, dataset: str) -> dict[str, float] | None:
    """The numbers of a cell by the paper's version and our dataset; None where it has no such cell or number."""
    rows = table(name).filter(
        (pl.col("version") == version)
        & (pl.col("dataset") == DATASETS.get(dataset, dataset))
        & pl.col("dice").is_not_null()
    )
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    return {key: row[key] for key in ("dice", "dice_std", "surface_dice", "surface_dice_std")}
