"""Run folders whose truth is known: what label quality bought is put in by hand."""

import json
from pathlib import Path

import numpy as np
import polars as pl

ORGANS = {1: "liver", 2: "spleen"}
LABELS = {"degraded-90": 0.9, "degraded-55": 0.55, "twin": 0.97}
LOSS = {"base": 0.0, "degraded-90": 0.04, "degraded-55": 0.2, "twin": 0.0005}
TRANSFER_LOSS = {"base": 0.0, "degraded-90": 0.0004, "degraded-55": 0.0006, "twin": 0.0, "no-pretrain": 0.05}


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def scores(cases: list[str], dice: float, noise: float, key: list[int]) -> pl.DataFrame:
    """Scores that lie around a Dice, an organ and case each with an error of its own."""
    random = np.random.Generator(np.random.Philox(key=key))
    return pl.DataFrame(
        [
            {
                "case": case, "label": label, "organ": organ, "dice": dice + random.normal(0, noise),
                "surface_dice": dice - 0.1, "reference_voxels": 100, "prediction_voxels": 90, "tolerance_mm": 1.0,
            }
            for case in cases for label, organ in ORGANS.items()
        ]
    )  # fmt: skip


def put(file: Path, frame: pl.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)


def make_run(folder: Path, held_out: int, seeds: tuple[int, ...] = (0, 1, 2), noise: float = 0.004) -> Path:
    """A study of three label versions: two degraded ones and one as good as the reference labels; and its transfer."""
    cases = [f"case_{i:02d}" for i in range(held_out + 4)]
    train, holdout = cases[:4], cases[4:]
    folder.mkdir()
    (folder / "study.yaml").write_text("name: known\ntrain: {}\nscore: {empty: flare21}\n", encoding="utf-8")
    table, split = {str(i): organ for i, organ in ORGANS.items()}, {"train": train, "holdout": holdout}
    write_json(folder / "plan.json", {
        "study": "known", "versions": {"word": [*LABELS]}, "labels": {"word": table, "segthor": table},
        "common_labels": {"word": [1, 2]}, "split": {"word": split, "segthor": split}, "seeds": list(seeds),
        "transfer": ["segthor"], "steps": [], "marks": {v: {"made_from_reference": True} for v in ("degraded-90", "degraded-55")},
        "verdict": {"margin": 0.01, "alpha": 0.05, "minutes_per_mask": 30},
    })  # fmt: skip
    for i, (version, quality) in enumerate(LABELS.items()):
        put(folder / f"datasets/word/3-scores/{version}.parquet", named(scores(cases, quality, 0.01, [i, 1]), version))
        tool = "degrade" if version.startswith("degraded") else "totalseg"
        write_json(folder / f"datasets/word/1-raw/{version}/run.json", {"tool": tool, "options": {}})
    places = {"datasets/word": (LOSS, noise), "transfer/segthor/word": (TRANSFER_LOSS, noise / 20)}
    for p, (place, (losses, spread)) in enumerate(places.items()):
        for i, (version, loss) in enumerate(losses.items()):
            for seed in seeds:
                frame = scores(holdout, 0.9 - loss, spread, [10 * p + i, 11 + seed])
                put(folder / f"{place}/6-predictions/{version}/seed-{seed}/scores.parquet", frame)
    return folder


def named(frame: pl.DataFrame, version: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit("word").alias("dataset"), pl.lit(version).alias("version"))
