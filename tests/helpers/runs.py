"""A run folder with volumes, as a study leaves it: label versions of known quality, their real scores, predictions."""

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import polars as pl

from coordinator.scoring.folders import score_folders, score_folders_in_shells
from coordinator.scoring.settings import Scoring

ORGANS = {1: "liver", 2: "spleen", 3: "aorta"}
CENTRES = {1: (15, 18, 11), 2: (34, 24, 12), 3: (25, 31, 9)}
RADII = {1: (10, 9, 7), 2: (6, 7, 5), 3: (2.5, 2.5, 8)}
SHAPE = (48, 40, 20)
# Oblique, with voxels that are no cubes and an axis that grows to the left, so that turns and mirrors show.
AFFINE = np.array([[-2.0, 0.1, 0, 60], [0.1, 1.5, 0, -30], [0, 0, 3.0, 100], [0, 0, 0, 1]])
SHIFTS = {"nnunet": 0.5, "medsam": 2.5, "totalseg": 1.0, "stunet-base": 1.1}
MARKS = {
    "nnunet": {"made_from_reference": True, "prompted_from_reference": False, "labeller_saw_held_out": True},
    "medsam": {"made_from_reference": True, "prompted_from_reference": True, "labeller_saw_held_out": False},
}
CASES = ("case_0", "case_1", "case_2", "case_3", "case_4")
HELD_OUT = CASES[2:]


def ball(organ: int, grow: float = 0.0, shift: float = 0.0) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    centre, radii = np.array(CENTRES[organ]) + np.array([shift, 0, 0]), np.array(RADII[organ]) + grow
    return (((grid - centre) / radii) ** 2).sum(axis=-1) <= 1


def label_map(case: int, shift: float = 0.0) -> np.ndarray:
    """(48, 40, 20) uint8; each case's organs are a little larger than the last one's."""
    labels = np.zeros(SHAPE, np.uint8)
    for organ in ORGANS:
        labels[ball(organ, grow=0.3 * case, shift=shift)] = organ
    return labels


def save(file: Path, array: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), file)


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def make_run(folder: Path) -> Path:
    """Make a dataset folder and its run folder below `folder`; return the run folder."""
    shutil.copytree(_make_template(), folder, dirs_exist_ok=True)
    run = folder / "runs" / "demo-study"
    write_json(run / "plan.json", plan(folder / "data"))
    return run


@cache
def _make_template() -> Path:
    """Make the folders once, since scoring takes most of the time; they are removed when Python ends."""
    template = TemporaryDirectory(prefix="label-quality-run-")
    atexit.register(template.cleanup)
    _fill(Path(template.name))
    return Path(template.name)


def _fill(folder: Path) -> None:
    run, data = folder / "runs" / "demo-study", folder / "data" / "word"
    random = np.random.default_rng(3)
    for i, case in enumerate(CASES):
        truth = label_map(i)
        body = ball(1, grow=30)
        image = np.where(truth > 0, 100, np.where(body, 20, -1000)) + random.normal(0, 15, SHAPE)
        save(data / "images" / f"{case}.nii.gz", image.astype(np.int16))
        save(run / "datasets/word/2-labels/base" / f"{case}.nii.gz", truth)
        for version, shift in SHIFTS.items():
            save(run / f"datasets/word/2-labels/{version}" / f"{case}.nii.gz", label_map(i, shift * (1 + 0.2 * i)))
    (data / "dataset.yaml").write_text(
        "name: word\nlabels: {1: liver, 2: spleen, 3: aorta}\n"
        'citation: "Luo, Liao, Xiao. WORD: A large scale dataset. Medical Image Analysis 82, 102642 (2022)."\n',
        encoding="utf-8",
    )
    for number, version in enumerate(("base", *SHIFTS)):
        place = run / f"datasets/word/6-predictions/{version}/seed-0"
        for i, case in enumerate(CASES):
            if case in HELD_OUT:
                save(place / f"{case}.nii.gz", label_map(i, 0.4 + 0.8 * SHIFTS.get(version, 0) + 0.1 * i))
        tested = score_folders(run / "datasets/word/2-labels/base", place, ORGANS, Scoring(tolerance_mm=1.0))
        _name(tested, version).with_columns(pl.lit(0).alias("seed")).write_parquet(place / "scores.parquet")
        model = run / f"datasets/word/5-models/{version}/seed-0"
        write_json(model / "run.json", tool_record("trainer"))
        log = {"epoch": range(8), "loss": [1 / (1 + e) + 0.05 * number for e in range(8)], "learning_rate": [1e-3] * 8}
        pl.DataFrame(log).write_parquet(model / "log.parquet")
    for version in SHIFTS:
        write_json(run / f"datasets/word/1-raw/{version}/run.json", tool_record(version.split("-")[0]))
        (run / "datasets/word/3-scores").mkdir(exist_ok=True)
        folders = run / "datasets/word/2-labels/base", run / f"datasets/word/2-labels/{version}"
        scores, shells = score_folders_in_shells(*folders, ORGANS, Scoring(tolerance_mm=1.0))
        _name(scores, version).write_parquet(run / f"datasets/word/3-scores/{version}.parquet")
        (run / "datasets/word/3-scores/shells").mkdir(exist_ok=True)
        _name(shells, version).write_parquet(run / f"datasets/word/3-scores/shells/{version}.parquet")
    write_json(run / "datasets/word/check.json", {"cases": 5, "set_aside": {}, "warnings": []})
    (run / "study.yaml").write_text(
        "name: demo-study\ndatasets: [word]\ngenerators: [nnunet, medsam, totalseg, stunet-base]\ntrain: {epochs: 8}\n",
        encoding="utf-8",
    )


def plan(data: Path) -> dict[str, object]:
    return {
        "study": "demo-study", "data": str(data), "weights": None, "steps": [], "versions": {"word": list(SHIFTS)},
        "labels": {"word": {str(i): organ for i, organ in ORGANS.items()}}, "common_labels": {"word": [1, 2, 3]},
        "excluded_labels": {"word": {}}, "cases": {"word": list(CASES)}, "transfer": [], "seeds": [0],
        "split": {"word": {"train": [c for c in CASES if c not in HELD_OUT], "holdout": list(HELD_OUT)}},
        "marks": MARKS,
    }  # fmt: skip


def tool_record(tool: str) -> dict[str, object]:
    return {
        "tool": tool, "version": "0.3.0", "variant": "default", "options": {"folds": 5}, "device": "cpu", "threads": 2,
        "packages": {"numpy": "2.4.6"}, "weights": [], "image_id": None, "revision": None, "python": "3.11.7",
    }  # fmt: skip


def _name(frame: pl.DataFrame, version: str) -> pl.DataFrame:
    return frame.select(pl.lit("word").alias("dataset"), pl.lit(version).alias("version"), pl.all())
