"""A run folder of scores without volumes: networks of known Dice, of several seeds, in-domain and fine-tuned."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

ORGANS = {1: "liver", 2: "spleen", 3: "aorta"}
VOXELS = {1: 5000, 2: 3000, 3: 713}
"""Of each organ in each case; 26,139 in three cases."""
DICE = {"no-pretrain": 0.8, "base": 0.88, "nnunet": 0.86, "medsam": 0.84}
VERSIONS = ("nnunet", "medsam")
TARGET = "segthor"


def make_scored_run(
    folder: Path, seeds: Sequence[int] = (0, 1, 2), held_out: int = 5, versions: Sequence[str] = VERSIONS
) -> Path:
    """Make a run of dataset word, fine-tuned on segthor; all three organs are common, and all cases have them."""
    cases = [f"case_{i}" for i in range(4 + held_out)]
    table, split = {str(i): organ for i, organ in ORGANS.items()}, {"train": cases[:4], "holdout": cases[4:]}
    write_json(folder / "plan.json", {
        "study": "scored", "steps": [], "versions": {"word": [*versions]}, "labels": {"word": table, TARGET: table},
        "common_labels": {"word": [*ORGANS]}, "split": {"word": split, TARGET: split}, "transfer": [TARGET],
        "seeds": [*seeds], "marks": {}, "verdict": {"margin": 0.01, "alpha": 0.05, "minutes_per_mask": 10},
    })  # fmt: skip
    (folder / "study.yaml").write_text("name: scored\ntrain: {}\nscore: {empty: flare21}\n", encoding="utf-8")
    for version in versions:
        names = [pl.lit("word").alias("dataset"), pl.lit(version).alias("version")]
        put(folder / f"datasets/word/3-scores/{version}.parquet", scores(cases, DICE[version]).with_columns(names))
    for target in (None, TARGET):
        for version in ("base", *versions, *(["no-pretrain"] if target else [])):
            for seed in seeds:
                put(scores_file(folder, version, seed, target), scores(cases[4:], DICE[version] - 0.002 * seed))
    return folder


def scores(cases: Sequence[str], dice: float) -> pl.DataFrame:
    """Scores whose mean is a Dice; a case is a little better than the last one."""
    middle = (len(cases) - 1) / 2
    rows = [
        {
            "case": case, "label": label, "organ": organ, "dice": dice + 0.004 * (i - middle) * (1 + 0.1 * label),
            "surface_dice": dice - 0.1, "reference_voxels": VOXELS[label], "prediction_voxels": VOXELS[label] - 9,
            "reference_ml": 1.0, "prediction_ml": 0.9, "tolerance_mm": 1.0,
        }
        for i, case in enumerate(cases) for label, organ in ORGANS.items()
    ]  # fmt: skip
    return pl.DataFrame(rows)


def scores_file(run: Path, version: str, seed: int, target: str | None = None) -> Path:
    """The file of a network's scores."""
    place = f"transfer/{target}/word" if target else "datasets/word"
    return run / place / f"6-predictions/{version}/seed-{seed}/scores.parquet"


def predict_elsewhere(file: Path) -> None:
    """Let a network predict each organ where it is not."""
    put(file, pl.read_parquet(file).with_columns(dice=pl.lit(0.0), surface_dice=pl.lit(0.0)))


def predict_nothing(file: Path, where: pl.Expr | bool = True) -> None:
    """Let a network predict no voxel, or not those of some rows."""
    change_rows(file, where, {"dice": 0.0, "surface_dice": 0.0, "prediction_voxels": 0, "prediction_ml": 0.0})


def remove_organ(file: Path, where: pl.Expr) -> None:
    """Let neither the reference labels nor a network have an organ, in some rows."""
    nan, columns = float("nan"), ("reference_voxels", "prediction_voxels")
    change_rows(file, where, {"dice": nan, "surface_dice": nan, **dict.fromkeys(columns, 0)})


def diverge(run: Path, version: str, seed: int, target: str | None = None) -> None:
    """Let a network's loss become no number: the trainer records it, and there are no predictions."""
    predictions = scores_file(run, version, seed, target)
    predictions.unlink()
    model = Path(str(predictions.parent).replace("6-predictions", "5-models"))
    write_json(model / "identity.json", {"failure": "did not converge: the loss or the gradient is nan at step 7"})


def change_rows(file: Path, where: pl.Expr | bool, values: dict[str, float]) -> None:
    """Change values in some rows of a file of scores."""
    frame, where = pl.read_parquet(file), pl.lit(where) if isinstance(where, bool) else where
    put(file, frame.with_columns(
        pl.when(where).then(pl.lit(value, frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    ))  # fmt: skip


def put(file: Path, frame: pl.DataFrame) -> None:
    """Write a frame, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)


def write_json(file: Path, content: object) -> None:
    """Write JSON, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
