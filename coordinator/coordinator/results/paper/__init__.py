"""The numbers of the paper's Tables 1 to 3, to compare ours with, and to test our statistics on.

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

from pathlib import Path

import polars as pl

TABLES = ("label_quality", "segthor", "flare")
UNREADABLE = (("totalseg", "btcv"), ("stunet-large", "abdomenatlas"))
"""(version, dataset) of Table 1 without a number in our copy."""
DATASETS = {"amos22": "amos", "abdomenct1k": "ct1k", "abdomenct-1k": "ct1k", "abdomenatlas10": "abdomenatlas"}
"""Our names of datasets -> the paper's, where these differ."""
TARGETS = {"segthor": "segthor", "flare21": "flare", "flare22": "flare", "flare": "flare"}
"""Our names of target datasets -> their table."""
VERSIONS = {"medsam-lite": "medsam", "medsam-vit-b": "medsam", "totalseg-total": "totalseg", "stunet": "stunet-small"}
"""Our names of label versions -> the paper's, where these differ."""


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
    """The numbers of one cell by our names; None where the paper has no such cell, or no number in it."""
    rows = table(name).filter(
        (pl.col("version") == VERSIONS.get(version, version))
        & (pl.col("dataset") == DATASETS.get(dataset, dataset))
        & pl.col("dice").is_not_null()
    )
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    return {key: row[key] for key in ("dice", "dice_std", "surface_dice", "surface_dice_std")}
