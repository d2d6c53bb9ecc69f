"""The report's parts that come from volumes and cases: overlays, the case table, methods; and what page and csv share."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.runs import CASES, HELD_OUT, SHAPE, SHIFTS, make_run, save, write_json

from coordinator.report import overlays, write_report
from coordinator.report.cases import per_case, table
from coordinator.report.references import Bibliography, reference
from coordinator.report.scatter import clutter
from coordinator.results.load import load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def report(run: Path, name: str = "report") -> Path:
    out = run.parent / name
    out.mkdir()
    write_report(run, out)
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run as it is, for tests that only look."""
    return report(make_run(tmp_path_factory.mktemp("made")))


def says_nan(out: Path) -> bool:
    html = re.sub(r"base64,[^\"]*", "", (out / "index.html").read_text(encoding="utf-8"))
    return re.search(r"\b(nan|NaN|None|inf)\b", re.sub(r"<script>.*</script>", "", html, flags=re.DOTALL)) is not None


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
        columns = [text.removesuffix(" †").strip() for text, _ in rows[0][2:]]
        for (head, _), (metric, _), *cells in rows[1:]:
            for column, (text, value) in zip(columns, cells, strict=True):
                organ_or_version = re.sub(r"( †|n = \d+)$", "", head)
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


def test_a_case_s_dice_is_the_mean_over_its_common_organs_that_count(run: Path):
    frame = pl.DataFrame(
        {
            "dataset": "word", "version": "nnunet", "case": "a", "label": [1, 2, 3], "organ": ["liver", "spleen", "aorta"],
            "dice": [0.9, 0.5, float("nan")], "surface_dice": [0.8, 0.4, float("nan")],
            "reference_voxels": [9, 9, 0], "prediction_voxels": [9, 9, 0],
        }
    )  # fmt: skip
    write_json(run / "plan.json", {**json.loads((run / "plan.json").read_text()), "common_labels": {"word": [1, 3]}})
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\n", encoding="utf-8")
    frame.write_parquet(run / "word/3-scores/nnunet.parquet")
    loaded = load_run(run)

    row = per_case(loaded, loaded.datasets[0]).filter((pl.col("version") == "nnunet") & (pl.col("what") == "labels"))

    assert row.rows() == [("labels", "nnunet", None, "a", 0.9, 0.8, 1)]


def test_a_case_in_which_no_organ_counts_has_a_dash(run: Path):
    frame = pl.read_parquet(run / "word/3-scores/nnunet.parquet")
    nothing = pl.when(pl.col("case") == "case_1")
    frame = frame.with_columns(
        *(nothing.then(0).otherwise(pl.col(c)).alias(c) for c in ("reference_voxels", "prediction_voxels")),
        *(nothing.then(float("nan")).otherwise(pl.col(c)).alias(c) for c in ("dice", "surface_dice")),
    )
    frame.write_parquet(run / "word/3-scores/nnunet.parquet")
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\ntrain: {epochs: 8}\n", encoding="utf-8")
    loaded = load_run(run)

    found = table(loaded, loaded.datasets[0], per_case(loaded, loaded.datasets[0]))

    assert found is not None
    assert {case: numbers[0] for case, _, numbers in found.rows}["case_1"] is None
    assert not says_nan(report(run))


def test_an_organ_that_no_case_shows_has_dashes(run: Path):
    absent = pl.when(pl.col("organ") == "aorta")
    for file in (*run.glob("word/3-scores/*.parquet"), *run.glob("word/6-predictions/*/seed-0/scores.parquet")):
        pl.read_parquet(file).with_columns(
            *(absent.then(0).otherwise(pl.col(c)).alias(c) for c in ("reference_voxels", "prediction_voxels")),
            *(absent.then(float("nan")).otherwise(pl.col(c)).alias(c) for c in ("dice", "surface_dice")),
        ).write_parquet(file)
    (run / "study.yaml").write_text("name: demo-study\nscore: {empty: raw}\ntrain: {epochs: 8}\n", encoding="utf-8")

    out = report(run)

    rows = Tables((out / "index.html").read_text(encoding="utf-8")).tables["label-quality-organs-word"]
    assert {text for row in rows if row[0][0].startswith("aorta") for text, _ in row[2:]} == {"–"}  # noqa: RUF001
    assert not says_nan(out)


def test_overlays_are_the_worst_the_median_and_the_best_of_all_networks(run: Path):
    loaded = load_run(run)
    scores = per_case(loaded, loaded.datasets[0])

    chosen = overlays.extremes(scores)

    values = sorted(scores.filter(pl.col("what") == "network")["dice"])
    assert [c.dice for c in chosen] == [values[0], values[len(values) // 2], values[-1]]
    assert [c.why for c in chosen] == ["worst, ", "median, ", "best, "]


def test_the_case_of_most_disagreement_is_shown_with_all_its_versions(run: Path):
    loaded = load_run(run)

    chosen = overlays.disagreement(loaded.datasets[0], per_case(loaded, loaded.datasets[0]))

    assert [(c.case, c.version) for c in chosen] == [("case_4", version) for version in SHIFTS]


def test_the_slice_shown_is_the_one_in_which_most_voxels_differ():
    truth, labels = np.zeros((2, 6, 5, 4), np.uint8)
    truth[:4, :4, 0] = 1  # most organ, but all alike
    labels[:4, :4, 0] = 1
    labels[1:3, 2, 2] = 1
    labels[1, 1, 3] = 1

    assert overlays._slice(truth, [labels]) == 2
    assert overlays._slice(truth, [truth]) == 0


def test_overlays_show_the_patient_s_right_on_the_left_and_the_front_on_top(run: Path):
    loaded = load_run(run)
    dataset = loaded.datasets[0]
    choice = overlays.disagreement(dataset, per_case(loaded, dataset))[:1]

    shown = next(overlays._read(run, run.parents[1] / "data", dataset, choice))

    rows, columns = (
        {organ: np.argwhere(shown.truth == organ).mean(axis=0)[axis] for organ in (1, 2, 3)} for axis in (0, 1)
    )
    assert columns[1] < columns[2]  # the liver is on the right
    assert rows[3] < rows[2] < rows[1]  # in this phantom, in front of it the spleen and then the aorta


def test_what_overlays_show_is_yellow_and_green(made: Path):
    svg = (made / "figures/overlay-extremes-word.svg").read_text(encoding="utf-8")
    assert overlays.YELLOW in svg and overlays.GREEN in svg
    html = (made / "index.html").read_text(encoding="utf-8")
    images = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', html)
    assert len(images) == 2
    assert "worst, network: medsam, case_2, Dice" in images[0]


def test_images_that_were_moved_are_said_to_be_gone(run: Path):
    (run.parents[1] / "data").rename(run.parents[1] / "moved")

    out = report(run)

    html = (out / "index.html").read_text(encoding="utf-8")
    assert "word: no overlay of case_4: the images or label maps can&#39;t be read any more." in html
    assert list((out / "figures").glob("overlay*")) == []


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b broken", b"no gzip"])
def test_a_label_map_that_is_broken_costs_its_overlay_only(run: Path, content: bytes):
    (run / "word/2-labels/medsam/case_4.nii.gz").write_bytes(content)

    out = report(run)

    assert [file.name for file in sorted((out / "figures").glob("overlay*.png"))] == ["overlay-extremes-word.png"]


def test_label_maps_without_any_label_are_drawn(run: Path):
    for place in run.glob("word/*/**/case_4.nii.gz"):
        save(place, np.zeros(SHAPE, np.uint8))

    assert (report(run) / "figures/overlay-versions-word.png").is_file()


def test_two_reports_of_the_same_data_in_two_places_are_the_same_bytes(run: Path, made: Path):
    first, second = made, report(run)

    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_one_case_with_one_version_and_constant_scores_has_a_report(run: Path):
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan |= {"versions": {"word": ["nnunet"]}, "split": {"word": {"train": [], "holdout": ["case_2"]}}}
    write_json(run / "plan.json", plan)
    for file in (run / "word/3-scores/nnunet.parquet", *run.glob("word/6-predictions/*/seed-0/scores.parquet")):
        only = pl.read_parquet(file).filter(pl.col("case") == "case_2")
        only.with_columns(dice=pl.lit(1.0), surface_dice=pl.lit(1.0)).write_parquet(file)

    out = report(run)

    assert "100.0" in (out / "index.html").read_text(encoding="utf-8")
    assert not says_nan(out)


def place(**versions: tuple[float, float]) -> dict[str, dict[str, tuple[float, float]]]:
    return {version: {"dice": spot} for version, spot in versions.items()}


def test_markers_that_all_but_touch_are_enlarged():
    (area,) = clutter(place(a=(40, 40), b=(80, 80), c=(81, 81), d=(95, 60)))

    assert area == pytest.approx((79.75, 79.75, 81.25, 81.25))


def test_markers_that_lie_apart_or_belong_to_one_version_are_not_enlarged():
    assert clutter(place(a=(40, 40), b=(60, 60), c=(80, 81))) == []
    assert clutter({"a": {"dice": (50, 50), "surface_dice": (50.1, 50)}, "b": {"dice": (90, 90)}}) == []


def test_at_most_two_areas_are_enlarged_those_of_most_markers():
    pairs = {
        f"{name}{i}": (at + 0.1 * i, at)
        for name, at, count in (("a", 20, 2), ("b", 50, 3), ("c", 80, 4))
        for i in range(count)
    }

    areas = clutter(place(**pairs))

    assert [round(area[1] / 10) * 10 for area in areas] == [80, 50]


def test_a_chain_of_markers_is_cut_where_it_is_widest():
    chain = {
        f"v{i}": (40.0 + x, 40.0 + x) for i, x in enumerate((0, 0.5, 1, 3.5, 6, 8.5, 11, 13.5, 16, 18.5, 21, 23.5, 24))
    }

    areas = clutter(place(**chain))

    assert all(area[2] - area[0] < 5 for area in areas) and len(areas) == 2


def test_the_methods_cite_what_was_used_in_the_order_of_first_use(made: Path):
    html = (made / "index.html").read_text(encoding="utf-8")
    section = html[html.index('<section id="methods">') :]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section[: section.index("</section>")]))
    assert "Dataset word [2] (5 cases, 3 organs)" in text
    assert "medsam was made with medsam 0.3.0, MedSAM" in text
    assert "Prompts of medsam were made from the original labels." in text
    assert "8 epochs of 250 batches of 2 patches" in text and "word: 2 and 3" in text
    assert "Its 95 % intervals are those of a studentised bootstrap over cases" in text
    assert "by Holm's method" in text.replace("&#39;", "'") and "a difference within ± 1 Dice points" in text
    works = re.findall(r"<li>(.*?)</li>", section[: section.index("</section>")])
    cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", text) for n in group.split(", ")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(works) + 1))
    assert (made / "references.bib").read_text(encoding="utf-8").count("\n@") + 1 == len(works)


def test_a_citation_in_one_line_becomes_bibtex():
    work = reference(
        "Ma, He, Li. Segment anything in medical images. Nature Communications 15, 654 (2024). doi 10.1038/s41467-024-44824-z"
    )

    assert work.bibtex == (
        "@misc{ma2024,\n  author = {Ma and He and Li},\n  title = {Segment anything in medical images},\n"
        "  howpublished = {Nature Communications 15, 654},\n  year = {2024},\n  doi = {10.1038/s41467-024-44824-z},\n}\n"
    )


def test_a_citation_that_cannot_be_taken_apart_is_kept_whole():
    assert reference("ACME & friends, personal communication").bibtex == (
        "@misc{acme,\n  note = {ACME \\& friends, personal communication},\n}\n"
    )


def test_two_works_never_share_a_key():
    cited = Bibliography()

    assert (
        cited.cite("Ma, He. One thing to read. Here (2024)", "Ma, Li. Another thing to read. There (2024)") == " [1, 2]"
    )
    assert cited.cite("Ma, He. One thing  to read. Here (2024)") == " [1]"
    assert [work.key for work in cited.found] == ["ma2024", "ma2024b"]
