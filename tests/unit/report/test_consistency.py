"""The table that tells whether the errors of labels are the same in every case."""

import csv
import shutil
from pathlib import Path

import pytest
from helpers.reports import make_report, visible_text
from helpers.runs import make_run

from coordinator.report.consistency import consistency_table
from coordinator.results.load import load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_the_report_shows_each_version_with_its_volume_error_and_the_vote(run: Path):
    out = make_report(run)

    page = visible_text(out / "index.html")
    assert "word: are the errors of the label versions the same in every case?" in page
    assert "Over few cases (here at most 5 cases), chance cancels out only in part." in page
    with (out / "tables/consistency-word.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["version"] for row in rows[::3]] == ["nnunet", "medsam", "totalseg", "stunet-base"]
    assert rows[0].keys() == {
        "dataset", "version", "label", "organ", "cases", "dice", "volume_error", "absolute_volume_error", "vote_dice",
    }  # fmt: skip
    for ending in ("md", "tex"):
        assert "stunet-base" in (out / f"tables/consistency-word.{ending}").read_text(encoding="utf-8")


def test_a_row_has_percents_with_a_sign_where_a_sign_means_something(run: Path):
    loaded = load_run(run)

    table = consistency_table(loaded, loaded.datasets[0])

    assert table is not None
    for _, dice, vote, error, by_organ, by_mask in table.rows:
        assert 0 < float(dice) <= 100
        assert 0 <= float(vote) <= 100
        assert error[0] in "+−"  # noqa: RUF001
        assert abs(float(error.replace("−", "-"))) <= float(by_organ) <= float(by_mask)  # noqa: RUF001


def test_without_shells_the_vote_is_missing_and_without_scores_the_table(run: Path):
    shutil.rmtree(run / "datasets/word/3-scores/shells")
    loaded = load_run(run)
    table = consistency_table(loaded, loaded.datasets[0])
    shutil.rmtree(run / "datasets/word/3-scores")

    unscored = load_run(run)

    assert table is not None
    assert {row[2] for row in table.rows} == {"–"}  # noqa: RUF001
    assert consistency_table(unscored, unscored.datasets[0]) is None
