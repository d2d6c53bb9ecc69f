"""The report's verdict on run folders whose truth is known: what label quality bought is put in by hand."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.reports import visible_text

from coordinator.report import write_report
from coordinator.results.load import load_run
from coordinator.results.summaries import compute_results
from coordinator.verdict.decide import annotation_hours, findings

ORGANS = {1: "liver", 2: "spleen"}
LABELS = {"degraded-90": 0.9, "degraded-55": 0.55, "twin": 0.97}
LOSS = {"base": 0.0, "degraded-90": 0.04, "degraded-55": 0.2, "twin": 0.0005}
TRANSFER_LOSS = {"base": 0.0, "degraded-90": 0.0004, "degraded-55": 0.0006, "twin": 0.0, "no-pretrain": 0.05}


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def scores(cases: list[str], dice: float, noise: float, key: list[int]) -> pl.DataFrame:
    """Scores that lie around a Dice, an organ and case each with an error of its own."""
    random = np.random.Generator(np.random.Philox(key=key))
    return pl.DataFrame(
        [
            {
                "case": case, "label": label, "organ": organ, "dice": dice + random.normal(0, noise),
                "surface_dice": dice - 0.1, "reference_voxels": 100, "prediction_voxels": 90, "tolerance_mm": 1.0,
            }
            for case in cases for label, organ in ORGANS.items()
        ]
    )  # fmt: skip


def put(file: Path, frame: pl.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)


def make_run(folder: Path, held_out: int, seeds: tuple[int, ...] = (0,), noise: float = 0.004) -> Path:
    """A study of three label versions: two degraded ones and one as good as the reference labels; and its transfer."""
    cases = [f"case_{i:02d}" for i in range(held_out + 4)]
    train, holdout = cases[:4], cases[4:]
    folder.mkdir()
    (folder / "study.yaml").write_text("name: known\ntrain: {}\nscore: {empty: flare21}\n", encoding="utf-8")
    table, split = {str(i): organ for i, organ in ORGANS.items()}, {"train": train, "holdout": holdout}
    write_json(folder / "plan.json", {
        "study": "known", "versions": {"word": [*LABELS]}, "labels": {"word": table, "segthor": table},
        "common_labels": {"word": [1, 2]}, "split": {"word": split, "segthor": split}, "seeds": list(seeds),
        "transfer": ["segthor"], "steps": [], "prompts": {},
        "verdict": {"margin": 0.01, "alpha": 0.05, "minutes_per_mask": 30},
    })  # fmt: skip
    for i, (version, quality) in enumerate(LABELS.items()):
        put(folder / f"word/3-scores/{version}.parquet", named(scores(cases, quality, 0.01, [i, 1]), version))
        tool = "degrade" if version.startswith("degraded") else "medsam"
        write_json(folder / f"word/1-raw/{version}/run.json", {"tool": tool, "options": {}})
    places = {"word": (LOSS, noise), "transfer/segthor/word": (TRANSFER_LOSS, noise / 20)}
    for p, (place, (losses, spread)) in enumerate(places.items()):
        for i, (version, loss) in enumerate(losses.items()):
            for seed in seeds:
                frame = scores(holdout, 0.9 - loss, spread, [10 * p + i, 11 + seed])
                put(folder / f"{place}/6-predictions/{version}/seed-{seed}/scores.parquet", frame)
    return folder


def named(frame: pl.DataFrame, version: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit("word").alias("dataset"), pl.lit(version).alias("version"))


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
    run = make_run(tmp_path / "run", held_out=12)

    assert outcomes(run) == {"degraded-90": "worth it", "degraded-55": "worth it", "twin": "not worth it"}
    assert set(outcomes(run, "segthor").values()) == {"not worth it"}


def test_two_held_out_cases_tell_nothing(tmp_path):
    run = make_run(tmp_path / "run", held_out=2)

    assert set(outcomes(run).values()) == {"can't tell"}
    assert "can&#39;t tell with this study (2 held-out cases; needs about" in report(run, tmp_path / "out")


def test_one_held_out_case_has_a_report_without_nan(tmp_path):
    run = make_run(tmp_path / "run", held_out=1)

    text = report(run, tmp_path / "out")

    assert "can&#39;t tell with this study (1 held-out case)" in text
    assert_no_nan(tmp_path / "out")


def assert_no_nan(out: Path) -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in (out / "tables").iterdir()}
    for file, text in {**texts, out / "index.html": visible_text(out / "index.html")}.items():
        assert not re.search(r"\b(nan|NaN|inf|None|null)\b", text), file


def test_more_noise_needs_more_cases(tmp_path):
    needed = []
    for name, noise in (("quiet", 0.03), ("loud", 0.09)):
        loaded = load_run(make_run(tmp_path / name, held_out=8, noise=noise))
        found = {
            f.version: f for f in findings(loaded, compute_results(loaded)) if f.organ is None and f.target is None
        }
        needed.append(found["twin"].needed)

    assert 8 < needed[0] < needed[1]


def test_a_gain_within_the_noise_of_seeds_is_marked(tmp_path):
    run = make_run(tmp_path / "run", held_out=8, seeds=(0, 1))
    for version, shifts in {"base": (0.05, -0.05), "degraded-90": (0.04, -0.05)}.items():
        for seed, shift in enumerate(shifts):
            file = run / f"word/6-predictions/{version}/seed-{seed}/scores.parquet"
            put(file, pl.read_parquet(file).with_columns(pl.col("dice") + shift))

    text = report(run, tmp_path / "out")

    found = pl.read_csv(tmp_path / "out/tables/verdict.csv").filter(pl.col("target") == "in-domain")
    noisy = dict(zip(found["version"], found["within_noise"], strict=True))
    assert noisy["degraded-90"] and not noisy["degraded-55"]
    assert "(within the noise of seeds)" in text


def test_annotation_hours_are_the_papers():
    # DAP-Atlas: 75,000 masks at 10 minutes.
    assert annotation_hours(75_000, 10) == 12_500


def test_the_cost_is_that_of_the_training_cases_masks(tmp_path):
    loaded = load_run(make_run(tmp_path / "run", held_out=12))

    found = next(f for f in findings(loaded, compute_results(loaded)) if f.version == "degraded-55" and f.organ is None)

    # Four training cases, two organs, half an hour each.
    assert (found.masks, found.hours) == (8, 4.0)
    assert found.hours_per_point == pytest.approx(4 / (100 * found.gain))


def test_dose_and_response_names_the_smallest_gain_that_improved_the_network(tmp_path):
    text = report(make_run(tmp_path / "run", held_out=12), tmp_path / "out")

    assert re.search(
        r"The smallest gain in labels that certainly improved the network is \+(9\.\d|10\.\d) points, from "
        r"degraded-90 to base; it improved the network by \+[345]\.\d points",
        text,
    )
    rows = pl.read_csv(tmp_path / "out/tables/dose-response-word.csv")
    assert rows.select("worse", "better").rows() == [
        ("degraded-90", "base"), ("degraded-55", "degraded-90"), ("degraded-55", "base")
    ]  # fmt: skip


def test_the_worklist_begins_with_the_mask_of_most_disagreement(tmp_path):
    run = make_run(tmp_path / "run", held_out=3)
    file = run / "word/3-scores/twin.parquet"
    bad = (pl.col("case") == "case_02") & (pl.col("label") == 2)
    put(file, pl.read_parquet(file).with_columns(pl.when(bad).then(0.2).otherwise(pl.col("dice")).alias("dice")))

    report(run, tmp_path / "out")

    first = pl.read_csv(tmp_path / "out/tables/worklist.csv").row(0, named=True)
    # Of 1 (the reference labels) and 0.2, the population standard deviation is 0.4. Degraded versions are not counted.
    assert (first["case"], first["organ"], first["disagreement"]) == ("case_02", "spleen", pytest.approx(0.4))


def test_a_network_that_did_not_converge_has_an_em_dash_and_no_colour(tmp_path):
    run = make_run(tmp_path / "run", held_out=4)
    place = run / "transfer/segthor/word"
    (place / "6-predictions/degraded-55/seed-0/scores.parquet").unlink()
    write_json(place / "5-models/degraded-55/seed-0/identity.json", {"failure": "did not converge: the loss is nan"})

    text = report(run, tmp_path / "out")

    table = (tmp_path / "out/tables/transfer-segthor.md").read_text(encoding="utf-8")
    assert "| degraded-55 | Dice | — |" in table
    assert "| no-pretrain | Dice | 85.0 ± 0.0 |" in table
    assert "word to segthor: test scores of the network trained on degraded-55, seed 0, which did not converge" in text
    html = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert html.count("fifth-1") >= 2 and "fifth-None" not in html
    assert "can&#39;t tell with this study (one of the networks has no scores)" in text


def test_tables_of_two_reports_are_the_same_bytes(tmp_path):
    run = make_run(tmp_path / "run", held_out=5, seeds=(0, 1))

    report(run, tmp_path / "first")
    report(run, tmp_path / "second")

    files = sorted(f.relative_to(tmp_path / "first") for f in (tmp_path / "first").rglob("*.*"))
    assert len(files) > 20
    assert [f for f in files if (tmp_path / "first" / f).read_bytes() != (tmp_path / "second" / f).read_bytes()] == []


def test_a_missing_label_version_is_said_and_the_others_are_compared(tmp_path):
    run = make_run(tmp_path / "run", held_out=12)
    (run / "word/3-scores/twin.parquet").unlink()
    (run / "word/6-predictions/twin/seed-0/scores.parquet").unlink()

    text = report(run, tmp_path / "out")

    assert "word, in-domain, twin: can&#39;t tell with this study (one of the networks has no scores)" in text
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
    assert set(outcomes(run).values()) == {"can't tell"}  # the sign test of five cases: 2 / 32, for three comparisons


def test_failed_cases_are_left_out_of_both_networks(tmp_path):
    run = make_run(tmp_path / "run", held_out=6)
    file = run / "word/6-predictions/degraded-55/seed-0/scores.parquet"
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
    put(run / "word/3-scores/medsam-lite.parquet", named(scores(["case_00"], 0.6, 0.0, [1, 1]), "medsam-lite"))
    write_json(run / "word/1-raw/medsam-lite/run.json", {"tool": "medsam", "variant": "lite", "options": {}})

    report(run, tmp_path / "out")

    text = (tmp_path / "out/tables/beside-paper-label-quality.md").read_text(encoding="utf-8")
    assert "| medsam-lite | word | Dice | 60.0 | 56.8 | +3.2 |" in text
    assert "| base | word | Dice | 90.0 | 88.8 | +1.2 |" in (tmp_path / "out/tables/beside-paper-segthor.md").read_text(
        encoding="utf-8"
    )
