"""The report of a small run folder in which things went wrong: a failed case, a failed step, a missing model."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from helpers.reports import make_report, visible_text
from helpers.runs import MARKS

from contract.errors import UsageError
from coordinator.report import write_report
from coordinator.results.load import load_run

ORGANS = {1: "liver", 2: "spleen", 3: "rectum"}
DICE = {"base": (0.92, 0.88), "nnunet": (0.9, 0.8), "medsam": (0.6, 0.4), "totalseg": (0.84, 0.76)}


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def scores(version: str, cases: list[str], shift: float = 0.0) -> pl.DataFrame:
    """Dice of liver and spleen as in DICE, 0.1 more for the first case and 0.1 less for the last; rectum always 0.5."""
    rows = [
        {
            "dataset": "word", "version": version, "case": case, "label": label, "organ": organ,
            "dice": dice + shift + 0.1 * ((case == cases[0]) - (case == cases[-1])), "surface_dice": dice + shift - 0.1,
            "reference_voxels": 100, "prediction_voxels": 90, "reference_ml": 1.0, "prediction_ml": 0.9,
            "tolerance_mm": 1.0,
        }
        for case in cases
        for (label, organ), dice in zip(ORGANS.items(), (*DICE[version], 0.5), strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def tool_record(tool: str) -> dict[str, object]:
    return {
        "tool": tool, "version": "0.3.0", "variant": "default", "options": {"folds": 5}, "device": "cpu", "threads": 2,
        "packages": {"numpy": "2.4.6"}, "weights": [{"file": f"{tool}.pth", "sha256": "ab" * 32}], "image_id": None,
        "revision": None, "python": "3.11.7", "seconds": 12.5,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder: three versions; totalseg's network failed, medsam failed on one case, one case was set aside."""
    folder = tmp_path / "runs" / "demo-study"
    cases = [f"case_{i}" for i in range(4)]
    versions = ["nnunet", "medsam", "totalseg"]
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(
        "name: demo-study\ndatasets: [word]\ngenerators: [nnunet, medsam, {name: totalseg, tool: totalseg}]\n"
        "score: {tolerance_mm: 1.5, empty: totalsegmentator}\ntrain: {epochs: 3}\n",
        encoding="utf-8",
    )
    plan = {
        "study": "demo-study", "versions": {"word": versions}, "labels": {"word": {str(i): o for i, o in ORGANS.items()}},
        "common_labels": {"word": [1, 2]}, "excluded_labels": {"word": {"rectum": "totalseg has no such class"}},
        "split": {"word": {"train": cases[:2], "holdout": cases[2:]}},
        "marks": MARKS, "seeds": [0], "steps": [],
    }  # fmt: skip
    write_json(folder / "plan.json", plan)
    aside = {"case_9": ["label and image must share one grid"]}
    word = folder / "datasets/word"
    write_json(word / "check.json", {"cases": 5, "set_aside": aside, "warnings": ["case_2: thick slices"]})
    for version in versions:
        bad = "case_1" if version == "medsam" else None
        write_json(word / f"1-raw/{version}/run.json", tool_record(version))
        lines = [
            {"case": c, "state": "failed" if c == bad else "done", "reason": f"{folder}/x <b>: no prompt" if c == bad else None}
            for c in cases
        ]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines) + '{"case": "cut sho'
        (word / f"1-raw/{version}/status.jsonl").write_text(text, encoding="utf-8")
        (word / "3-scores").mkdir(exist_ok=True)
        scores(version, [c for c in cases if c != bad]).write_parquet(word / f"3-scores/{version}.parquet")
    for version in ("base", "nnunet", "medsam"):
        model, predictions = (word / f"{s}/{version}/seed-0" for s in ("5-models", "6-predictions"))
        write_json(model / "run.json", tool_record("trainer"))
        log = {
            "epoch": [0, 1, 2],
            "loss": [1.0, 0.7, 0.5],
            "learning_rate": [1e-3] * 3,
            "validation_dice": [None, None, 0.4],
        }
        pl.DataFrame(log).write_parquet(model / "log.parquet")
        predictions.mkdir(parents=True)
        tested = scores(version, cases[2:], shift=-0.05).with_columns(pl.lit(0).alias("seed"))
        tested.write_parquet(predictions / "scores.parquet")
    reason = f"trainer ended with exit code 1: out of memory (log: {folder}/logs/totalseg.log)"
    write_json(folder / "failures.json", {"steps": {"word/5-models/totalseg/seed-0": reason}})
    return folder


def test_two_reports_of_one_run_are_the_same_bytes(run: Path):
    first, second = make_report(run, "first"), make_report(run, "second")

    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_nothing_tells_where_the_run_lies(run: Path):
    out = make_report(run)

    place = str(run.parent).encode()
    assert [p for p in out.rglob("*") if p.is_file() and place in p.read_bytes()] == []


def test_the_page_loads_nothing(run: Path):
    html = (make_report(run) / "index.html").read_text(encoding="utf-8")

    html = re.sub(r'src="data:image/png;base64,[^"]*"', "", html)
    assert "http" not in html
    assert not re.search(r"<(link|iframe)|\bsrc=|@import|url\((?!#)", html)


def test_the_page_has_all_sections_and_its_links_lead_somewhere(run: Path):
    out = make_report(run)

    html = (out / "index.html").read_text(encoding="utf-8")
    names = [
        "worth", "labels", "networks", "transfer", "organs", "cases", "overlays", "training", "failed", "conventions",
        "methods", "provenance",
    ]  # fmt: skip
    assert [name for name in names if f'<section id="{name}">' not in html] == []
    links = re.findall(r'<a href="([^"#]+)"', html)
    assert links and [link for link in links if not (out / link).is_file()] == []


def test_no_two_elements_of_the_page_share_an_id(run: Path):
    html = (make_report(run) / "index.html").read_text(encoding="utf-8")

    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_table_1_has_mean_and_deviation_of_each_version(run: Path):
    text = (make_report(run) / "tables/label-quality.md").read_text(encoding="utf-8")

    # nnunet: organ means 90 and 80, each with values +10, 0, 0, -10: sigma sqrt(200/4) = 7.1.
    assert "| nnunet ‡ § | Dice | **85.0 ± 7.1** |" in text
    assert "|  | Surface Dice | **75.0 ± 0.0** |" in text
    # medsam: three cases: sqrt(200/3) = 8.2.
    assert "| medsam † | Dice | 50.0 ± 8.2 (n = 3) |" in text
    assert "word (4 cases)" in text
    assert "† Its prompts were made from the reference labels:" in text


def test_a_version_without_a_network_has_a_dash(run: Path):
    out = make_report(run)

    assert "| totalseg | Dice | – |" in (out / "tables/in-domain.md").read_text(encoding="utf-8")  # noqa: RUF001
    assert "word: test scores of the network trained on totalseg, seed 0" in visible_text(out / "index.html")


def test_latex_is_escaped(run: Path):
    text = (make_report(run) / "tables/label-quality.tex").read_text(encoding="utf-8")

    assert r"medsam $\dagger$ & Dice & 50.0 $\pm$ 8.2 (n = 3) \\" in text
    assert r"nnunet $\ddagger$ \S{} & Dice & \textbf{85.0 $\pm$ 7.1} \\" in text


def test_csv_holds_the_numbers_behind_the_table(run: Path):
    frame = pl.read_csv(make_report(run) / "tables/label-quality.csv")

    row = frame.filter(pl.col("version") == "nnunet").row(0, named=True)
    assert (row["dice"], row["dice_std"], row["organs"], row["cases"]) == (pytest.approx(0.85), 0.070711, 2, 4)


def test_the_organ_table_shows_organs_that_are_not_in_the_mean(run: Path):
    text = (make_report(run) / "tables/label-quality-organs-word.md").read_text(encoding="utf-8")

    assert "| liver (n = 4) | Dice | 90.0 ± 7.1 | 60.0 ± 8.2 (n = 3) | 84.0 ± 7.1 |" in text
    assert "Not in the mean over organs: rectum." in text


def test_the_reading_says_what_was_found_and_how_sure_it_is(run: Path):
    text = visible_text(make_report(run) / "index.html")

    assert "the labels of nnunet agree best with the reference labels (Dice 85.0), those of medsam least (50.0)" in text
    assert "The network trained on the reference labels has Dice 85.0 on the 2 held-out cases." in text
    assert "that of nnunet has the highest Dice (80.0, 5.0 points below the network on the reference labels)" in text
    assert "the labels&#39; Dice rises by 35.0 points and these networks&#39; Dice rises by 35.0" in text
    assert "One seed, 2 held-out cases: how much another seed would change these numbers is not known" in text


def test_what_failed_is_listed_with_its_reason(run: Path):
    text = visible_text(make_report(run) / "index.html")

    assert "1 case of 5 set aside by the dataset check" in text
    assert "case_9 label and image must share one grid" in text
    assert "word: 1 case failed, labels of medsam case_1 RUN/x &lt;b&gt;: no prompt" in text
    assert (
        "word/5-models/totalseg/seed-0 trainer ended with exit code 1: out of memory (log: RUN/logs/totalseg.log)"
        in text
    )
    assert "Nothing failed." not in text


def test_conventions_are_spelled_out(run: Path):
    text = visible_text(make_report(run) / "index.html")

    assert "1.5 mm" in text
    assert "one that only the prediction has is not counted" in text
    assert "Means are over 2 of 3 organs" in text
    assert "rectum (totalseg has no such class)." in text
    assert "Held-out cases: case_2, case_3" in text


def test_tolerances_are_those_that_the_scores_were_made_with(run: Path):
    study = run / "study.yaml"
    study.write_text(
        study.read_text(encoding="utf-8").replace("tolerance_mm: 1.5, empty: totalsegmentator", "empty: flare22")
    )

    text = visible_text(make_report(run) / "index.html")

    assert text.count("5 mm (liver), 3 mm (spleen) and 1 mm (rectum)") == 2  # conventions, methods


def test_provenance_names_tools_weights_and_packages(run: Path):
    text = visible_text(make_report(run) / "index.html")

    assert "labels of medsam medsam 0.3.0 word" in text
    assert "medsam.pth" in text and "ab" * 32 in text
    assert "numpy 2.4.6" in text
    assert "12.5" not in text


def test_a_study_without_training_says_so(run: Path):
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    del plan["split"]
    write_json(run / "plan.json", plan)
    study = (run / "study.yaml").read_text(encoding="utf-8").replace("train: {epochs: 3}\n", "")
    (run / "study.yaml").write_text(study, encoding="utf-8")

    out = make_report(run)

    assert "This study trains no networks" in visible_text(out / "index.html")
    assert list((out / "figures").iterdir()) == []


def test_a_run_in_which_nothing_came_of_anything_has_a_report(run: Path):
    (run / "plan.json").rename(run.parent / "plan.json")
    (run / "study.yaml").rename(run.parent / "study.yaml")
    empty = run.parent / "empty"
    empty.mkdir()
    for name in ("plan.json", "study.yaml"):
        (run.parent / name).rename(empty / name)

    out = make_report(empty)

    text = visible_text(out / "index.html")
    assert "No label version has scores (see “What failed and why”)." in text
    assert "No tool left a record." in text


def test_a_run_in_which_all_went_well_says_that_nothing_failed(run: Path):
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan["versions"] = {"word": ["nnunet"]}
    write_json(run / "plan.json", plan)
    write_json(run / "datasets/word/check.json", {"cases": 4, "set_aside": {}, "warnings": []})
    (run / "failures.json").unlink()

    assert "Nothing failed." in visible_text(make_report(run) / "index.html")


def test_means_are_over_seeds(run: Path):
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    write_json(run / "plan.json", {**plan, "seeds": [0, 1]})
    second = run / "datasets/word/6-predictions/base/seed-1"
    second.mkdir()
    scores("base", ["case_2", "case_3"], shift=-0.15).write_parquet(second / "scores.parquet")

    frame = pl.read_csv(make_report(run) / "tables/in-domain.csv")

    row = frame.filter(pl.col("version") == "base").row(0, named=True)
    assert (row["seeds"], row["dice"]) == (2, pytest.approx(0.80))
    assert (row["dice_lowest_seed"], row["dice_highest_seed"]) == (pytest.approx(0.75), pytest.approx(0.85))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    (tmp_path / "study.yaml").write_text("name: x\n", encoding="utf-8")

    with pytest.raises(UsageError, match="must hold study.yaml and plan.json"):
        load_run(tmp_path)


def test_a_report_never_overwrites(run: Path):
    out = make_report(run)

    with pytest.raises(UsageError, match="must exist and be empty"):
        write_report(run, out)
