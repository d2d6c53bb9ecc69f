"""Tables as files: whatever users named their organs, cases and label versions, tables show it and do nothing else."""

from pathlib import Path

import polars as pl
import pytest

from coordinator.report.tablefiles import escape_latex, escape_markdown, latex, markdown, write_table
from coordinator.report.tables import Cell, Row, ScoreTable
from coordinator.report.texttables import TextTable


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("**bold**", r"\*\*bold\*\*"),
        ("[click](http://evil)", r"[click\](http://evil)"),
        ("![x](y)", r"![x\](y)"),
        ("<script>", r"\<script>"),
        ("</td>", r"\</td>"),
        ("<!-- x", r"\<!-- x"),
        ("&lt;b", r"\&lt;b"),
        ("`code`", r"\`code\`"),
        ("~~x~~", r"\~\~x\~\~"),
        ("$x$", r"\$x\$"),
        ("a\\", "a\\\\"),
        ("_x_", r"\_x\_"),
        ("a\n| b |\n\n# c", r"a \| b \| # c"),
        ("[x]: http://evil", r"[x\]: http://evil"),
        ("1.2 [-0.3, 2.0]", "1.2 [-0.3, 2.0]"),
        ("kidney_left", "kidney_left"),
        ("p < 0.05, 3 > 2 & more; medsam-lite ± 1.2 (n = 5)", "p < 0.05, 3 > 2 & more; medsam-lite ± 1.2 (n = 5)"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, escaped: str):
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 5 % {x}", r"a\_b \& 5 \% \{x\}"),
        ("\\input{/etc/passwd}", r"\textbackslash input\{/etc/passwd\}"),
        ("x^2~y", r"x\textasciicircum{}2\textasciitilde{}y"),
        ("a\n\\end{tabular}", r"a \textbackslash end\{tabular\}"),
        ("$x$ #1", r"\$x\$ \#1"),
    ],
)
def test_latex_shows_text_as_it_is(text: str, escaped: str):
    assert escape_latex(text) == escaped


def test_a_table_of_hostile_names_is_still_a_table(tmp_path: Path):
    evil = "=x|\n\\end{tabular}<b>"
    tidy = pl.DataFrame({"organ": [evil], "dice": [-0.5]})
    cells = (Cell(90.0, 1.0, note=evil, best=True),)
    scores = ScoreTable("scores", evil, (evil,), (Row(evil, evil, "Dice", cells),), (evil,), tidy)
    texts = TextTable("texts", evil, (evil,), ((evil,),), (evil,), tidy)

    for table, columns in ((scores, 3), (texts, 1)):
        write_table(table, tmp_path)
        rows = [line for line in markdown(table).splitlines() if line.startswith("| ")]
        assert [line.replace(r"\|", "").count("|") for line in rows] == [columns + 1] * 3
        assert markdown(table).startswith(r"\=x")
        assert latex(table).count(r"\end{tabular}") == 1 + 2  # and in two comments
        assert [line for line in latex(table).splitlines() if line.startswith(r"\end")] == [r"\end{tabular}"]
        assert (tmp_path / f"{table.name}.csv").read_text().startswith("organ,dice\n\"'=x|\n")
