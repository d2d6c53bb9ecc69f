"""Signed volume errors and the vote of the cases: by hand, and on phantoms with the errors of the real tool `degrade`."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from helpers.degrading import degrade_phantom
from helpers.runs import make_run

from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom
from coordinator.results.consistency import organ_errors, version_errors, vote_dice
from coordinator.results.load import load_run
from coordinator.results.run import LABEL_SHELLS
from coordinator.scoring.folders import score_folders_in_shells
from coordinator.scoring.settings import Scoring

CASES = 11


def shells(*rows: tuple[str, float, int, int]) -> pl.DataFrame:
    """(case, distance, voxels, labelled voxels) of one organ."""
    named = [("word", "v", case, 1, "liver", *numbers) for case, *numbers in rows]
    return pl.DataFrame(named, schema=LABEL_SHELLS, orient="row")


def test_the_vote_labels_the_shells_that_the_cases_label_in_more_than_half_on_average():
    frame = shells(
        ("a", -0.75, 100, 100), ("a", -0.25, 50, 10), ("a", 0.25, 60, 30), ("a", 0.75, 80, 0),
        ("b", -0.75, 200, 200), ("b", -0.25, 80, 64), ("b", 0.25, 90, 90), ("b", 0.75, 100, 10),
    )  # fmt: skip

    (row,) = vote_dice(frame).iter_rows(named=True)

    # The shares are 1, 0.5, 0.75 and 0.05: the vote leaves out the second shell and takes the third.
    a, b = 2 * 100 / (150 + 160), 2 * 200 / (280 + 290)
    assert row["vote_dice"] == pytest.approx((a + b) / 2)


def test_a_perfect_version_has_a_perfect_vote_and_one_that_misses_the_organ_has_none():
    perfect = shells(("a", -0.25, 50, 50), ("a", 0.25, 60, 0))
    missed = shells(("a", -0.25, 50, 0), ("a", 0.25, 60, 0))

    assert vote_dice(perfect)["vote_dice"].to_list() == [1.0]
    assert vote_dice(missed)["vote_dice"].to_list() == [0.0]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "phantom"
    make_phantom(folder, cases=CASES, shape=(56, 48, 36))
    return folder


def test_random_erosion_and_dilation_cancel_out_and_consistent_ones_stay(phantoms: Path, tmp_path: Path):
    found = {}
    for consistent in (False, True):
        made = degrade_phantom(phantoms, tmp_path / str(consistent), seed=0, target_dice=0.9, consistent=consistent)
        scores, counts = score_folders_in_shells(phantoms / "labels", made, LABELS, Scoring())
        names = [pl.lit("phantom").alias("dataset"), pl.lit("v").alias("version"), pl.all()]
        present = scores.filter(pl.col("reference_voxels") > 0)
        errors = present.select(
            "organ", error=pl.col("prediction_voxels") / pl.col("reference_voxels") - 1
        ).group_by("organ").agg(pl.col("error").mean(), size=pl.col("error").abs().mean())  # fmt: skip
        found[consistent] = (
            present.group_by("organ").agg(pl.col("dice").mean())["dice"].mean(),
            vote_dice(counts.select(names))["vote_dice"].mean(),
            errors["error"].abs().mean() / errors["size"].mean(),
        )

    (unbiased_dice, unbiased_vote, unbiased_share), (dice, vote, share) = found[False], found[True]
    assert (unbiased_dice, dice) == (pytest.approx(0.9, abs=0.005), pytest.approx(0.9, abs=0.005))
    assert unbiased_vote > 0.975
    assert vote < 0.95
    assert unbiased_share < 0.45
    assert share > 0.99


def test_volume_errors_have_a_sign_and_means_over_organs_keep_bias_and_scatter_apart(tmp_path: Path):
    run = load_run(make_run(tmp_path))
    (dataset,) = run.datasets
    sizes = {1: [1.2, 1.2, 1.2, 1.2, 1.2], 2: [0.8, 0.8, 0.8, 0.8, 0.8], 3: [1.5, 0.5, 1.5, 0.5, 1.0]}
    factor = pl.Series([sizes[label].pop() for label in run.label_scores["label"][:15]] * len(dataset.versions))
    scores = run.label_scores.with_columns(
        pl.lit(100).alias("reference_voxels"), (100 * factor).cast(pl.Int64).alias("prediction_voxels")
    )

    organs = organ_errors(replace(run, label_scores=scores), dataset)
    means = version_errors(organs)

    assert organs["volume_error"].to_list()[:3] == pytest.approx([0.2, -0.2, 0.0])
    assert organs["absolute_volume_error"].to_list()[:3] == pytest.approx([0.2, 0.2, 0.4])
    assert organs["version"].unique(maintain_order=True).to_list() == list(dataset.versions)
    first = means.row(0, named=True)
    assert first["volume_error"] == pytest.approx(0)
    assert first["organ_volume_error"] == pytest.approx(0.4 / 3, abs=1e-6)
    assert first["absolute_volume_error"] == pytest.approx(0.8 / 3, abs=1e-6)


def test_a_run_that_was_scored_without_shells_has_volume_errors_and_no_vote(tmp_path: Path):
    folder = make_run(tmp_path)
    for file in (folder / "datasets/word/3-scores/shells").iterdir():
        file.unlink()

    run = load_run(folder)
    organs = organ_errors(run, run.datasets[0])

    assert run.label_shells.columns == list(LABEL_SHELLS)
    assert run.missing == ()
    assert organs["vote_dice"].null_count() == organs.height > 0
    assert version_errors(organs)["vote_dice"].null_count() == len(run.datasets[0].versions)


def test_masks_that_the_reference_lacks_are_not_counted(phantoms: Path, tmp_path: Path):
    reference, prediction = tmp_path / "reference", tmp_path / "prediction"
    for folder in (reference, prediction):
        folder.mkdir()
        for case in ("a", "b"):
            labels = np.zeros((20, 20, 20), np.uint8)
            labels[5:15, 5:15, 5:15] = 1
            labels[0:3, 0:3, 0:3] = 2 if folder == prediction or case == "a" else 0
            nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / f"{case}.nii.gz")

    _, counts = score_folders_in_shells(reference, prediction, {1: "liver", 2: "spleen"}, Scoring())

    assert counts.filter(pl.col("label") == 2)["case"].unique().to_list() == ["a"]
