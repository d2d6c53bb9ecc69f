"""Run folders of a study with mixtures, with one split or folds: what each share of better labels gains is put in by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

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
) -> Path:
    """Make a run of dataset word, whose reference is the label set `expert`.

    Args:
        folder: to make.
        tested: held-out cases; with folds, all cases.
        folds: number of them; 1 for one split, beside whose held-out cases there are eight training cases.
        seeds: of all networks.
        loss: what each label version's networks lose; mixtures that it lacks are not in the study.
        groups: case -> its group.
    """
    cases = [f"case_{i:02d}" for i in range(tested + (8 if folds == 1 else 0))]
    held_out = [cases[8:]] if folds == 1 else [cases[number::folds] for number in range(folds)]
    splits = [{"train": [case for case in cases if case not in part], "holdout": part} for part in held_out]
    mixtures = [mixture for name in loss if "-" in name for mixture in _list_mixtures(name, seeds)]
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
        versions = [{"version": v, "name": v, "seeds": seeds} for v in ("base", "expert")]
        for number, mixture in enumerate([*versions, *mixtures]):
            if "share" in mixture:
                better = split["train"][: round(mixture["share"] * len(split["train"]))]
                write_json(
                    place / "2-labels" / mixture["version"] / "run.json", {"better_cases": better, "outputs": {}}
                )
            for seed in mixture["seeds"]:
                dice = 0.9 - loss[mixture["name"].removeprefix("mix-")]
                frame = scores(split["holdout"], dice, 0.004, [number, 100 * fold + 7 + seed])
                put(place / f"6-predictions/{mixture['version']}/seed-{seed}/scores.parquet", frame)
    return folder


def _list_mixtures(name: str, seeds: Sequence[int]) -> list[dict[str, object]]:
    rule, share = name.split("-")
    about = {"name": f"mix-{name}", "rule": rule, "share": SHARES[int(share)]}
    if rule == "random":
        return [{**about, "version": f"mix-{name}-draw-{seed}", "seeds": [seed]} for seed in seeds]
    return [{**about, "version": f"mix-{name}", "seeds": list(seeds)}]


def drop_network(run: Path, version: str, seed: int, fold: int) -> None:
    """Let a network of a fold predict nothing."""
    file = run / f"datasets/word/folds/{fold}/6-predictions/{version}/seed-{seed}/scores.parquet"
    pl.read_parquet(file).with_columns(pl.lit(0.0).alias("dice"), pl.lit(0).alias("prediction_voxels")).write_parquet(
        file
    )
