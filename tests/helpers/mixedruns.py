"""Run folders of a study with mixtures, with one split or folds: what each share of better labels gains is put in by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from helpers.knownruns import ORGANS, named, put, scores, write_json

LOSS = {"base": 0.10, "random-25": 0.05, "random-75": 0.003, "worst-25": 0.02, "worst-75": 0.002, "expert": 0.0}
"""Label version or mixture -> what its networks lose against those on the expert's labels."""
SHARES = {25: 0.25, 75: 0.75}


def make_mixed_run(
    folder: Path,
    tested: int = 40,
    *,
    folds: int = 1,
    seeds: Sequence[int] = (0, 1, 2),
    loss: Mapping[str, float] = LOSS,
    groups: Mapping[str, str] | None = None,
    mix_seeds: Sequence[int] | None = None,
) -> Path:
    """Make a run of dataset word, whose reference is the label set `expert`.

    Args:
        folder: to make.
        tested: held-out cases; with folds, all cases.
        folds: number of them; 1 for one split, beside whose held-out cases there are eight training cases.
        seeds: of all networks.
        loss: what each label version's networks lose; mixtures that it lacks are not in the study.
        groups: case -> its group.
        mix_seeds: of the networks on mixtures; those of all where None.
    """
    cases = [f"case_{i:02d}" for i in range(tested + (8 if folds == 1 else 0))]
    held_out = [cases[8:]] if folds == 1 else [cases[number::folds] for number in range(folds)]
    splits = [{"train": [case for case in cases if case not in part], "holdout": part} for part in held_out]
    mixtures = [mixture for name in loss if "-" in name for mixture in _list_mixtures(name, mix_seeds or seeds)]
    folder.mkdir()
    (folder / "study.yaml").write_text("name: mixed\ntrain: {}\nscore: {empty: flare21}\n", encoding="utf-8")
    write_json(folder / "plan.json", {
        "study": "mixed", "reference": "expert", "versions": {"word": ["base"]}, "cases": {"word": cases},
        "labels": {"word": {str(i): organ for i, organ in ORGANS.items()}}, "common_labels": {"word": [*ORGANS]},
        "covered": {"word": {"expert": cases}}, "groups": {"word": groups or {}},
        **({"split": {"word": splits[0]}} if folds == 1 else {"folds": {"word": splits}}),
        "seeds": list(seeds), "steps": [], "marks": {"base": {}},
        "mix": {"name": "mix", "better": "expert", "worse": "base", "drawn": True, "mixtures": mixtures},
        "verdict": {"margin": 0.01, "alpha": 0.05, "minutes_per_mask": 30},
    })  # fmt: skip
    put(folder / "datasets/word/3-scores/base.parquet", named(scores(cases, 0.7, 0.01, [0, 0]), "base"))
    for fold, split in enumerate(splits):
        place = folder / "datasets/word" / (f"folds/{fold}" if folds > 1 else "")
        _put_networks(
            place,
            fold,
            split,
            [*({"version": v, "name": v, "seeds": seeds} for v in ("base", "expert")), *mixtures],
            loss,
        )
    return folder


def _put_networks(
    place: Path,
    fold: int,
    split: Mapping[str, Sequence[str]],
    versions: Sequence[Mapping[str, Any]],
    loss: Mapping[str, float],
) -> None:
    """The scores of all networks of a split, and which training cases of mixtures have the better labels."""
    for number, version in enumerate(versions):
        if "share" in version:
            better = split["train"][: round(version["share"] * len(split["train"]))]
            write_json(place / "2-labels" / version["version"] / "run.json", {"better_cases": better, "outputs": {}})
        for seed in version["seeds"]:
            dice = 0.9 - loss[version["name"].removeprefix("mix-")]
            frame = scores(split["holdout"], dice, 0.004, [number, 100 * fold + 7 + seed])
            put(place / f"6-predictions/{version['version']}/seed-{seed}/scores.parquet", frame)


def _list_mixtures(name: str, seeds: Sequence[int]) -> list[dict[str, object]]:
    rule, share = name.split("-")
    about = {"name": f"mix-{name}", "rule": rule, "share": SHARES[int(share)]}
    if rule == "random":
        return [{**about, "version": f"mix-{name}-draw-{seed}", "seeds": [seed]} for seed in seeds]
    return [{**about, "version": f"mix-{name}", "seeds": list(seeds)}]


def fail(run: Path, version: str, seed: int, fold: int | None = None, *, labels: Sequence[int] = (1, 2)) -> None:
    """Let a network predict none of these organs."""
    place = "datasets/word" if fold is None else f"datasets/word/folds/{fold}"
    file = run / f"{place}/6-predictions/{version}/seed-{seed}/scores.parquet"
    missed = pl.col("label").is_in(list(labels))
    pl.read_parquet(file).with_columns(
        pl.when(missed).then(0.0).otherwise("dice").alias("dice"),
        pl.when(missed).then(0).otherwise("prediction_voxels").alias("prediction_voxels"),
    ).write_parquet(file)
