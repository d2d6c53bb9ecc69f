"""Scoring two folders: one frame, the same for any number of processes; broken files are named."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from helpers.surface_oracle import oracle_dice, oracle_distances, oracle_surface_dice

from contract.errors import CaseError, UsageError
from coordinator.scoring.casescores import score_files
from coordinator.scoring.folders import (
    _measure_pairs,
    score_folders,
    score_folders_in_shells,
    score_what_can_be_scored,
)
from coordinator.scoring.metrics import OrganScore
from coordinator.scoring.schema import SCHEMA
from coordinator.scoring.settings import Scoring

ORGANS = {1: "liver", 2: "spleen", 5: "aorta"}
OBLIQUE = np.array([[-0.8, 0.1, 0, 30], [0.1, 0.8, 0, -20], [0, 0, 2.5, 7], [0, 0, 0, 1]])
Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Seven cases of a reference and a prediction; the third has no spleen, the fourth prediction is stored flipped."""
    random = np.random.default_rng(0)
    for folder in ("reference", "prediction"):
        (tmp_path / folder).mkdir()
    for case in range(7):
        labels = np.kron(random.choice([0, 0, 1, 2, 5], (3, 4, 2)), np.ones((4, 3, 3))).astype(np.uint8)
        if case == 2:
            labels[labels == 2] = 0
        for folder, label_map in (("reference", labels), ("prediction", np.roll(labels, 1, axis=1))):
            image = nib.Nifti1Image(label_map, OBLIQUE)
            if case == 3 and folder == "prediction":
                image = image.as_reoriented(np.array([[1, 1], [0, -1], [2, -1]]))
            nib.save(image, tmp_path / folder / f"case_{case}.nii.gz")
    return tmp_path / "reference", tmp_path / "prediction"


def test_a_row_a_case_and_organ_with_the_scores_of_the_oracle(folders: Folders):
    frame = score_folders(*folders, ORGANS, Scoring(1.0, also_mm=(2.5, 0.5), distances=True))

    assert frame.columns == [*SCHEMA, "surface_dice_2.5mm", "surface_dice_0.5mm", "hd95_mm", "assd_mm"]
    assert frame["case"].to_list() == [f"case_{n}" for n in range(7) for _ in ORGANS]
    spacing_mm = tuple(np.linalg.norm(OBLIQUE[:3, :3], axis=0).round(6))
    truth = np.asarray(nib.load(folders[0] / "case_3.nii.gz").dataobj)
    for row in frame.filter(pl.col("case") == "case_3").iter_rows(named=True):
        masks = truth == row["label"], np.roll(truth, 1, axis=1) == row["label"]
        expected = [oracle_dice(*masks), *oracle_surface_dice(*masks, spacing_mm, (1.0, 2.5, 0.5))]
        expected += oracle_distances(*masks, spacing_mm)
        columns = ["dice", "surface_dice", *frame.columns[len(SCHEMA) :]]
        assert [row[column] for column in columns] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_shells_come_beside_the_same_scores(folders: Folders, tmp_path: Path):
    scores = score_folders(*folders, ORGANS, Scoring())

    beside, shells = score_folders_in_shells(*folders, ORGANS, Scoring(), workers=2)

    scores.write_parquet(tmp_path / "alone.parquet")
    beside.write_parquet(tmp_path / "beside.parquet")
    assert (tmp_path / "alone.parquet").read_bytes() == (tmp_path / "beside.parquet").read_bytes()
    inside = shells.filter(pl.col("distance_mm") < 0).group_by("case", "organ").agg(pl.col("voxels").sum())
    expected = scores.filter(pl.col("reference_voxels") > 0).select("case", "organ", "reference_voxels")
    assert inside.sort("case", "organ").rows() == expected.sort("case", "organ").rows()


def test_the_frame_is_the_same_bytes_for_any_number_of_processes(folders: Folders, tmp_path: Path):
    for workers in (1, 2):
        score_folders(*folders, ORGANS, Scoring(), workers).write_parquet(tmp_path / f"{workers}.parquet")

    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_only_a_few_cases_are_pending_at_a_time(folders: Folders):
    drawn: list[int] = []

    def pairs():
        for n in range(5200):
            drawn.append(n)
            yield folders[0] / f"case_{n % 7}.nii.gz", folders[1] / f"case_{n % 7}.nii.gz"

    stream = _measure_pairs(score_files, pairs(), ORGANS, Scoring(), workers=2)
    first: list[OrganScore] = next(stream)
    second = next(stream)
    stream.close()

    assert len(drawn) <= 4
    assert [score.organ for score in first] == [score.organ for score in second] == list(ORGANS.values())


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda content: content[:-30], "gzip stream is truncated: it ends in the middle; copy the file again"),
        (lambda content: content[:-8] + b"\0\0\0\0" + content[-4:], "gzip stream is corrupt"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-9]), "voxels are missing"),
        (lambda content: b"", "file must not be empty"),
    ],
)
def test_a_broken_file_is_named(folders: Folders, broken, reason: str):
    file = folders[1] / "case_5.nii.gz"
    file.write_bytes(broken(file.read_bytes()))

    with pytest.raises(CaseError, match=rf"prediction/case_5.nii.gz: {reason}"):
        score_folders(*folders, ORGANS, Scoring())


def test_all_broken_files_are_named_at_once(folders: Folders):
    for case in (1, 5):
        (folders[1] / f"case_{case}.nii.gz").write_bytes(b"no gzip")

    with pytest.raises(CaseError, match=r"2 cases can't be scored:\n.*case_1.nii.gz: .*\n.*case_5.nii.gz: "):
        score_folders(*folders, ORGANS, Scoring())


def test_what_can_be_scored_is_scored_and_the_rest_has_its_reason(folders: Folders):
    (folders[1] / "case_1.nii.gz").write_bytes(b"no gzip")
    (folders[1] / "case_2.nii.gz").unlink()
    (folders[0] / "case_3.nii.gz").unlink()

    scored = score_what_can_be_scored(folders, ORGANS, Scoring(), excluded=["case_6"])

    assert scored.frame["case"].unique().sort().to_list() == ["case_0", "case_4", "case_5"]
    assert list(scored.failures) == ["case_1", "case_3"]
    assert "prediction/case_3.nii.gz: prediction must have a reference" in scored.failures["case_3"]
    assert scored.without_prediction == ("case_2",)
    assert scored.references == 5


def test_a_missing_prediction_counts_as_an_empty_one_where_asked_for(folders: Folders):
    (folders[1] / "case_2.nii.gz").unlink()

    frame = score_what_can_be_scored(folders, ORGANS, Scoring(), missing_as_empty=True).frame

    rows = {row["organ"]: row for row in frame.filter(pl.col("case") == "case_2").iter_rows(named=True)}
    assert rows["liver"]["dice"] == rows["liver"]["surface_dice"] == rows["liver"]["prediction_voxels"] == 0
    assert np.isnan(rows["spleen"]["dice"])  # the reference has none either
    assert frame["case"].n_unique() == 7


def test_a_broken_file_is_also_named_by_several_processes(folders: Folders):
    (folders[1] / "case_5.nii.gz").write_bytes(b"no gzip")

    with pytest.raises(CaseError, match=r"prediction/case_5.nii.gz: file must be gzip"):
        score_folders(*folders, ORGANS, Scoring(), workers=2)


@pytest.mark.parametrize("broken", [0, 1])
def test_an_id_without_a_name_is_refused(folders: Folders, broken: int):
    file = folders[broken] / "case_5.nii.gz"
    labels = np.asarray(nib.load(file).dataobj).copy()
    labels[0, 0, :3] = 9
    nib.save(nib.Nifti1Image(labels, nib.load(file).affine), file)
    message = r"case_5.nii.gz: label ids must be in the dataset's table, but these are not: 9 \(3 voxels\)"

    with pytest.raises(CaseError, match=f"{folders[broken].name}/{message}"):
        score_folders(*folders, ORGANS, Scoring())


def test_another_grid_is_refused(folders: Folders):
    labels = np.asarray(nib.load(folders[1] / "case_1.nii.gz").dataobj)
    nib.save(nib.Nifti1Image(labels, OBLIQUE @ np.diag([1, 1, 1.1, 1])), folders[1] / "case_1.nii.gz")

    with pytest.raises(CaseError, match="prediction/case_1.nii.gz: label and image: "):
        score_folders(*folders, ORGANS, Scoring())


def test_a_case_without_a_reference_is_named(folders: Folders):
    (folders[0] / "case_6.nii.gz").unlink()

    with pytest.raises(CaseError, match="must hold the reference of every case, but lacks case_6"):
        score_folders(*folders, ORGANS, Scoring())


def test_paths_may_be_strings_and_scoring_has_a_default(folders: Folders):
    reference, prediction = map(str, folders)

    frame = score_folders(reference, prediction, ORGANS)

    assert frame.equals(score_folders(*folders, ORGANS, Scoring(tolerance_mm=1.0)), null_equal=True)


def test_a_reference_without_a_prediction_is_not_scored(folders: Folders):
    (folders[1] / "case_6.nii.gz").unlink()

    frame = score_folders(*folders, ORGANS)

    assert frame["case"].unique().sort().to_list() == [f"case_{n}" for n in range(6)]


@pytest.mark.parametrize("absent", [0, 1])
def test_a_folder_that_does_not_exist_is_refused(folders: Folders, absent: int):
    paths = [*folders]
    paths[absent] = paths[absent].with_name("nowhere")

    with pytest.raises(UsageError, match="nowhere: must be a folder of <case>.nii.gz, but is none"):
        score_folders(*paths, ORGANS)
