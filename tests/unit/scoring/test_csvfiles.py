"""What a spreadsheet makes of exported tables: text stays text, and numbers stay numbers."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from coordinator.scoring.csvfiles import csv_text, write_csv


def read(frame: pl.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(frame), newline="")))


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=HYPERLINK(\"http://evil\")", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "+", "=", "\uff1d1", "-1.2 mm", "+1,2"],
)  # fmt: skip
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str):
    assert read(pl.DataFrame({"organ": [text]}))[1] == [f"'{text}"]


@pytest.mark.parametrize("text", ["liver", "", "-1.2", "+3", "1e-3", "-.5", "kidney-left", "a=b", "'", " =1"])
def test_any_other_text_stays_as_it_is(text: str):
    assert read(pl.DataFrame({"organ": [text, "x"]}))[1] == [text]


def test_numbers_and_missing_values_stay_as_they_are():
    frame = pl.DataFrame({"case": ["a", "=b"], "dice": [-0.5, None], "n": [-3, 4], "organ": [None, "-"]})

    assert csv_text(frame) == "case,dice,n,organ\na,-0.5,-3,\n'=b,,4,'-\n"
    assert csv_text(pl.DataFrame({"n": [-3]})) == "n\n-3\n"


def test_heads_are_neutralised_too(tmp_path: Path):
    write_csv(pl.DataFrame({"=1": [1], "dice": [2]}), tmp_path / "x.csv")

    assert (tmp_path / "x.csv").read_text() == "'=1,dice\n1,2\n"
