"""The page: it shows the numbers of the csv files, and the same data give the same bytes."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from helpers.reports import has_nan, make_report
from helpers.runs import CASES, HELD_OUT, SHIFTS, make_run, write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run as it is, for tests that only look."""
    return make_report(make_run(tmp_path_factory.mktemp("made")))


class Tables(HTMLParser):
    """Tables with a name: rows of cells, each its text and data-value; a head that spans two rows is repeated."""

    def __init__(self, html: str):
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self._rows: list[list[tuple[str, str | None]]] | None = None
        self._cell = False
        self._head = ("", None)
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]):
        given = dict(attributes)
        if tag == "table":
            self._rows = self.tables.setdefault(given["data-table"] or "", []) if "data-table" in given else None
        elif tag == "tr" and self._rows is not None:
            self._rows.append([self._head] if given.get("class", "").startswith("second") else [])
        elif tag in {"td", "th"} and self._rows is not None:
            self._cell = True
            self._rows[-1].append(("", given.get("data-value")))

    def handle_data(self, text: str):
        if self._rows is not None and self._cell:
            before, value = self._rows[-1][-1]
            self._rows[-1][-1] = (before + text, value)

    def handle_endtag(self, tag: str):
        if tag in {"td", "th"} and self._rows is not None:
            self._cell = False
            self._head = self._rows[-1][0]


METRICS = {"Dice": "dice", "Surface Dice": "surface_dice"}
SIGNS = "( [†‡§])+$"


def in_csv(name: str, frame: pl.DataFrame, head: str, metric: str, column: str) -> tuple[float, float]:
    """Mean and deviation of one cell, in percent as they are shown, from a table's csv."""
    version, organ = (column, head) if "organ" in frame.columns else (head, None)
    row = frame.filter((pl.col("version") == version) & (pl.col("organ") == organ if organ else True))
    assert row.height == 1, (name, head, column)
    return 100 * row[METRICS[metric]][0], 100 * row[f"{METRICS[metric]}_std"][0]


def test_every_number_of_the_page_s_tables_is_the_one_in_the_csv(made: Path):
    seen = 0
    for name, rows in Tables((made / "index.html").read_text(encoding="utf-8")).tables.items():
        frame = pl.read_csv(made / "tables" / f"{name}.csv")
        if name.startswith("cases"):
            continue
        columns = [re.sub(SIGNS, "", text).strip() for text, _ in rows[0][2:]]
        for (head, _), (metric, _), *cells in rows[1:]:
            for column, (text, value) in zip(columns, cells, strict=True):
                organ_or_version = re.sub(rf"({SIGNS}|n = \d+$)", "", head)
                mean, std = in_csv(name, frame, organ_or_version, metric, column)
                assert (text, value) == (f"{mean:.1f} ± {std:.1f}", f"{mean:.4f}")
                seen += 1
    versions, organs = len(SHIFTS), 3
    assert seen == 2 * (versions + (versions + 1) + organs * versions + organs * (versions + 1))


def test_every_number_of_the_case_table_is_the_one_in_the_csv(made: Path):
    frame = pl.read_csv(made / "tables/cases-word.csv")
    rows = Tables((made / "index.html").read_text(encoding="utf-8")).tables["cases-word"]
    shown = {}
    for (case, _), _, *cells in rows[1:]:
        for (column, _), (text, value) in zip(rows[0][2:], cells, strict=True):
            if value is not None:
                shown[(*column.split(": "), case)] = (text, value)
            else:
                assert text == "–"  # noqa: RUF001 - the dash of the tables
    expected = {
        (row["what"], row["version"], row["case"]): (f"{100 * row['dice']:.1f}", f"{100 * row['dice']:.4f}")
        for row in frame.iter_rows(named=True)
    }
    assert shown == expected
    assert len(shown) == len(SHIFTS) * len(CASES) + (len(SHIFTS) + 1) * len(HELD_OUT)


def test_an_organ_that_no_case_shows_has_dashes(run: Path):
    absent = pl.when(pl.col("organ") == "aorta")
    for file in (
        *run.glob("datasets/word/3-scores/*.parquet"),
        *run.glob("datasets/word/6-predictions/*/seed-0/scores.parquet"),
    ):
        pl.read_parquet(file).with_columns(
            *(absent.then(0).otherwise(pl.col(c)).alias(c) for c in ("reference_voxels", "prediction_voxels")),
            *(absent.then(float("nan")).otherwise(pl.col(c)).alias(c) for c in ("dice", "surface_dice")),
        ).write_parquet(file)
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\ntrain: {epochs: 8}\n", encoding="utf-8")

    out = make_report(run)

    rows = Tables((out / "index.html").read_text(encoding="utf-8")).tables["label-quality-organs-word"]
    assert {text for row in rows if row[0][0].startswith("aorta") for text, _ in row[2:]} == {"–"}  # noqa: RUF001
    assert not has_nan(out)


def test_two_reports_of_the_same_data_in_two_places_are_the_same_bytes(run: Path, made: Path):
    first, second = made, make_report(run)

    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_one_case_with_one_version_and_constant_scores_has_a_report(run: Path):
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan |= {"versions": {"word": ["nnunet"]}, "split": {"word": {"train": [], "holdout": ["case_2"]}}}
    write_json(run / "plan.json", plan)
    for file in (
        run / "datasets/word/3-scores/nnunet.parquet",
        *run.glob("datasets/word/6-predictions/*/seed-0/scores.parquet"),
    ):
        only = pl.read_parquet(file).filter(pl.col("case") == "case_2")
        only.with_columns(dice=pl.lit(1.0), surface_dice=pl.lit(1.0)).write_parquet(file)

    out = make_report(run)

    assert "100.0" in (out / "index.html").read_text(encoding="utf-8")
    assert not has_nan(out)
