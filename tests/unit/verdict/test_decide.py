"""The report's verdict on run folders whose truth is known: what label quality bought is put in by hand."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from helpers.knownruns import make_run, named, put, scores, write_json
from helpers.reports import visible_text

from coordinator.report import write_report
from coordinator.results.load import load_run
from coordinator.results.summaries import compute_results
from coordinator.verdict.decide import annotation_hours, findings


def outcomes(run: Path, target: str | None = None) -> dict[str, str]:
    loaded = load_run(run)
    return {
        f.version: f.outcome
        for f in findings(loaded, compute_results(loaded))
        if f.organ is None and f.target == target
    }


def report(run: Path, out: Path) -> str:
    """The page's text."""
    out.mkdir()
    return visible_text(write_report(run, out))


def test_the_verdict_agrees_with_the_known_truth(tmp_path):
    run = make_run(tmp_path / "run", held_out=60)

    assert outcomes(run) == {"degraded-90": "worth it", "degraded-55": "worth it", "twin": "not worth it"}
    assert set(outcomes(run, "segthor").values()) == {"not worth it"}


def test_few_cases_cannot_show_that_labels_are_not_worth_it(tmp_path):
    run = make_run(tmp_path / "run", held_out=12)

    assert outcomes(run) == {"degraded-90": "worth it", "degraded-55": "worth it", "twin": "can't tell"}
    assert "12 can&#39;t exclude failures in 10 % of cases; 58 could" in report(run, tmp_path / "out")


def test_one_seed_tells_nothing_in_general(tmp_path):
    run = make_run(tmp_path / "run", held_out=30, seeds=(0,))

    assert set(outcomes(run).values()) == {"can't tell"}
    text = report(run, tmp_path / "out")
    assert "one seed: another seed may change the difference by as much" in text
    assert "Can&#39;t tell which gain in labels improves a network" in text


def test_a_given_noise_of_seeds_is_used_and_its_source_printed(tmp_path):
    run = make_run(tmp_path / "run", held_out=30, seeds=(0,))
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan["verdict"] |= {"seed_std": 0.001, "seed_std_source": "our study of 2025, ten seeds"}
    write_json(run / "plan.json", plan)

    assert outcomes(run)["degraded-55"] == "worth it"
    assert "is taken from: our study of 2025, ten seeds." in report(run, tmp_path / "out")


def test_two_held_out_cases_tell_nothing(tmp_path):
    run = make_run(tmp_path / "run", held_out=2)

    assert set(outcomes(run).values()) == {"can't tell"}
    text = report(run, tmp_path / "out")
    assert "can&#39;t tell (2 held-out cases; about" in text
    assert "No gain between these levels is shown to improve the network" in text


def test_a_version_whose_networks_fail_more_often_is_not_called_as_good(tmp_path):
    run = make_run(tmp_path / "run", held_out=60)
    file = run / "datasets/word/6-predictions/twin/seed-2/scores.parquet"
    put(file, pl.read_parquet(file).with_columns(pl.lit(0.0).alias("dice"), pl.lit(0).alias("prediction_voxels")))

    found = next(f for f in findings(load_run(run)) if f.version == "twin" and f.organ is None and not f.target)

    assert (found.outcome, found.seeds) == ("can't tell", 2)
    assert found.reason.endswith("1 network on twin failed")


def test_networks_fine_tuned_from_failed_ones_count_as_failed(tmp_path):
    run = make_run(tmp_path / "run", held_out=4)
    for file in run.glob("datasets/word/6-predictions/base/*/scores.parquet"):
        put(file, pl.read_parquet(file).with_columns(pl.lit(0.0).alias("dice"), pl.lit(0).alias("prediction_voxels")))

    found = [f for f in findings(load_run(run)) if f.organ is None and f.target]

    assert {f.reason for f in found} == {"every network on base failed"}


def test_an_organ_that_only_the_version_predicts_costs_it_under_every_convention(tmp_path):
    """Dropped from the one map that leaves it out, it vanished from the gain: 0.04 points instead of 11.3."""
    run = make_run(tmp_path / "run", held_out=40)
    (run / "study.yaml").write_text("name: known\ntrain: {}\nscore: {empty: paper}\n", encoding="utf-8")
    absent = (pl.col("label") == 2) & pl.col("case").str.slice(-1).is_in(["1", "2"])
    for version, voxels in (("base", 0), ("twin", 50)):
        for file in run.glob(f"datasets/word/6-predictions/{version}/*/scores.parquet"):
            score = 0.0 if voxels else float("nan")
            put(file, pl.read_parquet(file).with_columns(
                *(pl.when(absent).then(score).otherwise(pl.col(m)).alias(m) for m in ("dice", "surface_dice")),
                pl.when(absent).then(0).otherwise(pl.col("reference_voxels")).alias("reference_voxels"),
                pl.when(absent).then(voxels).otherwise(pl.col("prediction_voxels")).alias("prediction_voxels"),
            ))  # fmt: skip

    loaded = load_run(run)
    results = compute_results(loaded)

    found = next(f for f in findings(loaded, results) if f.version == "twin" and f.organ is None and not f.target)
    assert found.gain > 0.05
    assert found.gain == pytest.approx(
        results.model("word", "base").dice - results.model("word", "twin").dice, abs=1e-6
    )


def test_one_held_out_case_has_a_report_without_nan(tmp_path):
    run = make_run(tmp_path / "run", held_out=1)

    text = report(run, tmp_path / "out")

    assert "can&#39;t tell (1 held-out case)" in text
    assert_no_nan(tmp_path / "out")


def test_surface_dice_alone_can_be_worth_it(tmp_path):
    """Surface Dice +12 with Dice +0.4 was "not worth it"."""
    run = make_run(tmp_path / "run", held_out=30)
    for file in run.glob("datasets/word/6-predictions/degraded-55/*/scores.parquet"):
        base = pl.read_parquet(str(file).replace("degraded-55", "base"))
        put(file, base.with_columns(pl.col("dice") - 0.004, pl.col("surface_dice") - 0.12))

    found = next(f for f in findings(load_run(run)) if f.version == "degraded-55" and f.organ is None and not f.target)

    assert (found.outcome, found.reason) == ("worth it", "by Surface Dice")


def assert_no_nan(out: Path) -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in (out / "tables").iterdir()}
    for file, text in {**texts, out / "index.html": visible_text(out / "index.html")}.items():
        assert not re.search(r"\b(nan|NaN|inf|None|null)\b", text), file


def test_more_noise_needs_more_cases(tmp_path):
    needed = []
    for name, noise in (("quiet", 0.03), ("loud", 0.09)):
        run = make_run(tmp_path / name, held_out=8, noise=noise)
        for file in run.glob("datasets/word/6-predictions/*/*/scores.parquet"):
            put(file, pl.read_parquet(file).with_columns((pl.col("dice") - 0.1).alias("surface_dice")))
        loaded = load_run(run)
        found = {
            f.version: f for f in findings(loaded, compute_results(loaded)) if f.organ is None and f.target is None
        }
        needed.append(found["twin"].needed)

    assert 8 < needed[0] < needed[1]


def test_annotation_hours_are_the_papers():
    # DAP-Atlas: 75,000 masks at 10 minutes.
    assert annotation_hours(75_000, 10) == 12_500


def test_hours_are_those_of_the_training_cases_masks_for_versions_that_need_no_reference_labels(tmp_path):
    """Versions made from the reference labels got "drawing them took 107 hours"."""
    run = make_run(tmp_path / "run", held_out=12)

    found = {f.version: f for f in findings(load_run(run)) if f.organ is None and f.target is None}

    # Four training cases, two organs, half an hour each.
    assert (found["twin"].masks, found["twin"].hours) == (8, 4.0)
    assert found["twin"].hours_low > 0 and found["twin"].hours_high is None  # there may be no gain
    assert (found["degraded-55"].masks, found["degraded-55"].hours, found["degraded-55"].hours_low) == (
        None,
        None,
        None,
    )


def test_intervals_hold_together_over_the_whole_report(tmp_path):
    run = make_run(tmp_path / "run", held_out=12)

    found = findings(load_run(run))

    # Three versions in two places, pre-training against none: 7 comparisons.
    assert [f.confidence for f in found if f.organ is None] == pytest.approx([1 - 0.05 / 7 * 4 / 6] * 6)
    assert [f.confidence for f in found if f.organ] == pytest.approx([1 - 0.05 / 7 / 6 / 2] * 12)


def test_dose_and_response_names_the_smallest_gain_that_improved_the_network(tmp_path):
    text = report(make_run(tmp_path / "run", held_out=12), tmp_path / "out")

    assert re.search(
        r"The smallest gain in labels that is shown to improve the network is \+(9\.\d|10\.\d) points, from "
        r"degraded-90 to base; with it, the network&#39;s Dice is \+[345]\.\d points higher.",
        text,
    )
    assert "Such errors largely cancel out over cases" in text
    rows = pl.read_csv(tmp_path / "out/tables/dose-response-word.csv")
    assert rows.select("worse", "better").rows() == [
        ("degraded-90", "base"), ("degraded-55", "degraded-90"), ("degraded-55", "base")
    ]  # fmt: skip


def test_the_worklist_begins_with_the_mask_of_most_disagreement(tmp_path):
    run = make_run(tmp_path / "run", held_out=3)
    file = run / "datasets/word/3-scores/twin.parquet"
    bad = (pl.col("case") == "case_02") & (pl.col("label") == 2)
    put(file, pl.read_parquet(file).with_columns(pl.when(bad).then(0.2).otherwise(pl.col("dice")).alias("dice")))

    report(run, tmp_path / "out")

    first = pl.read_csv(tmp_path / "out/tables/worklist.csv").row(0, named=True)
    # Of 1 (the reference labels) and 0.2, the population standard deviation is 0.4. Degraded versions are not counted.
    assert (first["case"], first["organ"], first["disagreement"]) == ("case_02", "spleen", pytest.approx(0.4))


def test_a_network_that_did_not_converge_has_an_em_dash_and_no_colour(tmp_path):
    run = make_run(tmp_path / "run", held_out=4, seeds=(0,))
    place = run / "transfer/segthor/word"
    (place / "6-predictions/degraded-55/seed-0/scores.parquet").unlink()
    write_json(place / "5-models/degraded-55/seed-0/identity.json", {"failure": "did not converge: the loss is nan"})

    text = report(run, tmp_path / "out")

    table = (tmp_path / "out/tables/transfer-segthor.md").read_text(encoding="utf-8")
    assert "| degraded-55 ‡ | Dice | — |" in table
    assert "| no-pretrain | Dice | 85.0 ± 0.0 |" in table
    assert "word to segthor: degraded-55, seed 0 did not converge: the loss is nan" in text
    html = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert html.count("fifth-1") >= 2 and "fifth-None" not in html
    assert "can&#39;t tell (every network on degraded-55 failed)" in text


def test_tables_of_two_reports_are_the_same_bytes(tmp_path):
    run = make_run(tmp_path / "run", held_out=5, seeds=(0, 1))

    report(run, tmp_path / "first")
    report(run, tmp_path / "second")

    files = sorted(f.relative_to(tmp_path / "first") for f in (tmp_path / "first").rglob("*.*"))
    assert len(files) > 20
    assert [f for f in files if (tmp_path / "first" / f).read_bytes() != (tmp_path / "second" / f).read_bytes()] == []


def test_a_missing_label_version_is_said_and_the_others_are_compared(tmp_path):
    run = make_run(tmp_path / "run", held_out=12)
    (run / "datasets/word/3-scores/twin.parquet").unlink()
    for file in run.glob("datasets/word/6-predictions/twin/*/scores.parquet"):
        file.unlink()

    text = report(run, tmp_path / "out")

    assert "word, in-domain, twin: can&#39;t tell (no network on twin has scores)" in text
    assert outcomes(run)["degraded-55"] == "worth it"
    assert_no_nan(tmp_path / "out")


@pytest.mark.parametrize("empty", ["paper", "flare21", "flare22", "totalsegmentator", "word"])
def test_an_organ_that_no_case_has_makes_no_nan(tmp_path, empty):
    run = make_run(tmp_path / "run", held_out=5)
    (run / "study.yaml").write_text(f"name: known\ntrain: {{}}\nscore: {{empty: {empty}}}\n", encoding="utf-8")
    absent = pl.col("label") == 2
    for file in run.rglob("*.parquet"):
        put(file, pl.read_parquet(file).with_columns(
            *(pl.when(absent).then(float("nan")).otherwise(pl.col(m)).alias(m) for m in ("dice", "surface_dice")),
            *(pl.when(absent).then(0).otherwise(pl.col(m)).alias(m) for m in ("reference_voxels", "prediction_voxels")),
        ))  # fmt: skip

    report(run, tmp_path / "out")

    assert_no_nan(tmp_path / "out")


def test_constant_scores_make_no_nan_and_no_certainty_from_nothing(tmp_path):
    run = make_run(tmp_path / "run", held_out=5)
    for file in run.rglob("*.parquet"):
        put(file, pl.read_parquet(file).with_columns(pl.lit(0.8).alias("dice"), pl.lit(0.7).alias("surface_dice")))

    report(run, tmp_path / "out")

    assert_no_nan(tmp_path / "out")
    assert set(outcomes(run).values()) == {"can't tell"}


def test_failed_cases_are_left_out_of_both_networks(tmp_path):
    run = make_run(tmp_path / "run", held_out=6)
    for file in run.glob("datasets/word/6-predictions/degraded-55/*/scores.parquet"):
        put(file, pl.read_parquet(file).filter(pl.col("case") != "case_05"))

    loaded = load_run(run)
    found = {
        f.version: f.cases for f in findings(loaded, compute_results(loaded)) if f.organ is None and f.target is None
    }

    assert found == {"degraded-90": 6, "degraded-55": 5, "twin": 6}


def test_our_numbers_are_shown_beside_the_papers(tmp_path):
    run = make_run(tmp_path / "run", held_out=3)
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan["versions"]["word"].append("medsam-lite")
    write_json(run / "plan.json", plan)
    put(run / "datasets/word/3-scores/medsam-lite.parquet", named(scores(["case_00"], 0.6, 0.0, [1, 1]), "medsam-lite"))
    write_json(run / "datasets/word/1-raw/medsam-lite/run.json", {"tool": "medsam", "variant": "lite", "options": {}})

    report(run, tmp_path / "out")

    text = (tmp_path / "out/tables/beside-paper-label-quality.md").read_text(encoding="utf-8")
    assert "| medsam-lite | word | Dice | 60.0 | 56.8 | +3.2 |" in text
    assert "| base | word | Dice | 90.0 | 88.8 | +1.2 |" in (tmp_path / "out/tables/beside-paper-segthor.md").read_text(
        encoding="utf-8"
    )
