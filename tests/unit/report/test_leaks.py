"""The report's section on leaks."""

import json
from pathlib import Path

from helpers.reports import make_report, visible_text
from helpers.runs import make_run

from coordinator.report.leaks import describe_no_leaks, leak_table
from coordinator.results import load_run

SHARED = {
    "about": "word, segthor",
    "sure": "certain",
    "sentence": "21 scans are in both word and segthor. None is held out.",
    "cases": [f"segthor/{number:02d} = word/{number:02d}" for number in range(21)],
}
PUBLISHED = {"about": "word", "sure": "can't tell which scans", "sentence": "Published.", "cases": []}


def planned(folder: Path, leaks: object) -> Path:
    run = make_run(folder)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    (run / "plan.json").write_text(json.dumps({**plan, "leaks": leaks}), encoding="utf-8")
    return run


def test_each_leak_is_a_row_with_its_cases_and_the_csv_has_them_all(tmp_path: Path):
    table = leak_table(load_run(planned(tmp_path, [SHARED, PUBLISHED])))

    assert table is not None
    assert table.rows[0][:3] == (SHARED["about"], SHARED["sure"], SHARED["sentence"])
    assert table.rows[0][3].endswith("segthor/19 = word/19 and 1 more")
    assert table.rows[1] == ("word", "can't tell which scans", "Published.", "")
    assert table.tidy["case"].to_list() == [*SHARED["cases"], None]


def test_the_page_lists_leaks(tmp_path: Path):
    out = make_report(planned(tmp_path, [SHARED, PUBLISHED]))

    assert "21 scans are in both word and segthor. None is held out." in visible_text(out / "index.html")
    assert (out / "tables" / "leaks.csv").is_file()


def test_a_study_without_leaks_says_so_and_one_of_an_earlier_release_that_it_cannot(tmp_path: Path):
    without, earlier = (load_run(planned(tmp_path / name, leaks)) for name, leaks in (("a", []), ("b", None)))

    assert leak_table(without) is leak_table(earlier) is None
    assert describe_no_leaks(without).startswith("No scan was found in two datasets of this study or twice in one")
    assert describe_no_leaks(earlier).startswith("The plan of this study does not say")
