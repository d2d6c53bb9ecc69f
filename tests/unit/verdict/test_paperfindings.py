"""The paper's findings, tested on run folders whose truth is known: what was found is put in by hand."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.reports import make_report, visible_text

from coordinator.report.paperfindings import paper_finding_table
from coordinator.report.tablefiles import write_table
from coordinator.results.load import load_run
from coordinator.results.run import Run
from coordinator.results.summaries import compute_results
from coordinator.verdict.decide import findings
from coordinator.verdict.paperfindings import COLUMNS, PRETRAINING, RANKS, VERSIONS, PaperFinding, paper_findings

ORGANS = {1: "liver", 2: "spleen"}
VERSIONS_OF_LABELS = ("one", "two", "three")
NOISE = 0.004
"""Of a score, for a case and organ."""
SEED_NOISE = 0.001
PRETRAINED = {"base": 0.90, "one": 0.902, "two": 0.898, "three": 0.9}
SCRATCH = 0.85


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def put(file: Path, cases: list[str], dice: float, noise: float = NOISE) -> None:
    """Write the scores of a network, around its Dice."""
    random = np.random.default_rng(list("/".join(file.parts[-6:]).encode()))
    shift = random.normal(0, SEED_NOISE)
    frame = pl.DataFrame(
        [
            {
                "case": case, "label": label, "organ": organ, "dice": dice + shift + random.normal(0, noise),
                "surface_dice": dice - 0.1 + shift + random.normal(0, noise),
                "reference_voxels": 100, "prediction_voxels": 90, "tolerance_mm": 1.0,
            }
            for case in cases for label, organ in ORGANS.items()
        ]
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)


def make_run(
    folder: Path,
    seeds: tuple[int, ...] = (0, 1, 2),
    datasets: tuple[str, ...] = ("word",),
    versions: tuple[str, ...] = VERSIONS_OF_LABELS,
    cases: int = 10,
) -> Path:
    """A study with a target, whose networks have no scores yet."""
    names = [f"case_{i:02d}" for i in range(cases + 4)]
    table, split = {str(i): organ for i, organ in ORGANS.items()}, {"train": names[:4], "holdout": names[4:]}
    folder.mkdir()
    (folder / "study.yaml").write_text("name: known\ntrain: {}\nscore: {empty: flare21}\n", encoding="utf-8")
    write_json(folder / "plan.json", {
        "study": "known", "versions": {d: list(versions) for d in datasets},
        "labels": {d: table for d in (*datasets, "segthor")}, "common_labels": {d: [1, 2] for d in datasets},
        "split": {d: split for d in (*datasets, "segthor")}, "seeds": list(seeds), "transfer": ["segthor"],
        "steps": [], "prompts": {}, "verdict": {"margin": 0.01, "alpha": 0.05, "minutes_per_mask": 30},
    })  # fmt: skip
    return folder


def put_networks(run: Path, place: str, dice: dict[str, float]) -> None:
    """Write the scores of networks on all seeds."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    for version, value in dice.items():
        for seed in plan["seeds"]:
            put(
                run / f"{place}/6-predictions/{version}/seed-{seed}/scores.parquet",
                plan["split"]["segthor"]["holdout"],
                value,
            )


def put_labels(run: Path, version: str, dice: float) -> None:
    """Write the scores of a label version in one case."""
    file = run / f"datasets/word/3-scores/{version}.parquet"
    put(file, ["case_00"], dice, noise=0)
    names = [pl.lit("word").alias("dataset"), pl.lit(version).alias("version")]
    pl.read_parquet(file).with_columns(names).write_parquet(file)


def judge(run: Path) -> tuple[Run, list[PaperFinding]]:
    loaded = load_run(run)
    results = compute_results(loaded)
    return loaded, paper_findings(loaded, results, findings(loaded, results))


def only(run: Path, name: str) -> PaperFinding:
    (found,) = [finding for finding in judge(run)[1] if finding.name == name]
    return found


def test_pretraining_that_gains_five_points_is_shown_with_three_seeds(tmp_path):
    run = make_run(tmp_path / "run")
    put_networks(run, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": SCRATCH})

    found = only(run, PRETRAINING)

    assert found.is_shown is True
    assert found.low < 0.05 < found.high
    assert found.p_value < 0.05
    assert re.match(r"Pre-training helps: Dice is at least [34]\.\d points higher fine-tuned from", found.statement)


def test_pretraining_that_gains_five_points_can_not_be_told_with_one_seed(tmp_path):
    run = make_run(tmp_path / "run", seeds=(0,))
    put_networks(run, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": SCRATCH})

    found = only(run, PRETRAINING)

    assert (found.is_shown, found.low, found.high, found.p_value) == (None, None, None, None)
    assert found.estimate == pytest.approx(0.05, abs=0.01)
    assert found.statement.startswith("Can't tell: one seed: another seed may change the difference by as much.")


def test_pretraining_that_loses_five_points_is_shown_to_harm(tmp_path):
    run = make_run(tmp_path / "run")
    put_networks(run, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": 0.95})

    found = only(run, PRETRAINING)

    assert found.is_shown is False
    assert found.statement.startswith("Pre-training harms: Dice is at least ")


def test_two_held_out_cases_and_a_missing_network_tell_nothing_of_pretraining(tmp_path):
    few = make_run(tmp_path / "few", cases=2)
    put_networks(few, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": SCRATCH})
    missing = make_run(tmp_path / "missing")
    put_networks(missing, "transfer/segthor/word", PRETRAINED)

    assert only(few, PRETRAINING).statement.startswith("Can't tell: 2 held-out cases.")
    assert only(missing, PRETRAINING).statement == "Can't tell: no network of no-pretrain has scores."
    assert {only(few, PRETRAINING).is_shown, only(missing, PRETRAINING).is_shown} == {None}


def test_label_versions_are_counted_that_are_shown_to_be_within_the_margin(tmp_path):
    run = make_run(tmp_path / "run", cases=400)
    put_networks(run, "transfer/segthor/word", {"base": 0.9, "one": 0.9, "two": 0.9005, "three": 0.85})

    found = only(run, VERSIONS)

    assert found.statement == (
        "2 of 3 label versions are shown to be within ± 1 Dice point of the reference labels in Dice (one and two). Shown to be "
        "worse by the margin or more: three (by Dice and Surface Dice)."
    )
    assert found.is_shown is False


def test_label_versions_that_may_differ_are_never_said_to_make_no_difference(tmp_path):
    run = make_run(tmp_path / "run", cases=4)
    put_networks(run, "transfer/segthor/word", PRETRAINED)

    found = only(run, VERSIONS)

    assert found.statement.startswith("0 of 3 label versions are shown to be within ± 1 Dice point of the reference")
    assert "Can't tell of any" in found.statement
    assert found.is_shown is None


def test_datasets_ten_points_apart_differ_more_than_labels_a_fifth_apart(tmp_path):
    run = make_run(tmp_path / "run", datasets=("word", "btcv"))
    put_networks(run, "transfer/segthor/word", PRETRAINED)
    put_networks(run, "transfer/segthor/btcv", {version: dice - 0.1 for version, dice in PRETRAINED.items()})

    found = only(run, COLUMNS)

    assert found.is_shown is True
    assert re.fullmatch(
        r"Networks vary more between these datasets than between these label versions: the standard deviation of Dice is 7\.\d "
        r"points between 2 datasets and 0\.\d between 4 label versions\.",
        found.statement,
    )


def test_datasets_that_differ_as_labels_do_are_not_shown_to_matter_more(tmp_path):
    run = make_run(tmp_path / "run", datasets=("word", "btcv"))
    put_networks(run, "transfer/segthor/word", PRETRAINED)
    put_networks(run, "transfer/segthor/btcv", {version: dice - 0.003 for version, dice in PRETRAINED.items()})

    found = only(run, COLUMNS)

    assert found.is_shown is None
    assert found.statement.startswith("Can't tell: the standard deviation of Dice is 0.")


def test_a_label_version_without_a_network_leaves_the_comparison_and_is_named(tmp_path):
    run = make_run(tmp_path / "run", datasets=("word", "btcv"))
    put_networks(run, "transfer/segthor/word", PRETRAINED)
    put_networks(run, "transfer/segthor/btcv", {"base": 0.8, "one": 0.8, "three": 0.801})

    assert "between 3 label versions, without two, of which networks have no scores" in only(run, COLUMNS).statement


def test_three_label_versions_a_tenth_of_a_point_apart_tell_nothing_of_the_trend(tmp_path):
    run = make_run(tmp_path / "run")
    for version, labels in {"one": 0.7, "two": 0.8, "three": 0.9}.items():
        put_labels(run, version, labels)
    put_networks(run, "datasets/word", {"base": 0.9})
    for version, dice in {"one": 0.88, "two": 0.881, "three": 0.882}.items():
        for seed in (0, 1, 2):
            file = run / f"datasets/word/6-predictions/{version}/seed-{seed}/scores.parquet"
            put(file, ["case_04", "case_05", "case_06"], 0.88)
            pl.read_parquet(file).with_columns(pl.lit(dice).alias("dice")).write_parquet(file)

    found = only(run, RANKS)

    assert found.estimate == 1.0
    assert (found.is_shown, found.p_value) == (None, None)
    assert found.statement == (
        "Can't tell: of 3 label versions, rank correlation 1.00; chance alone ranks as much alike in 17 % of all "
        "orders, and no order of 3 label versions is rare enough to be tested."
    )


def test_eight_label_versions_in_one_order_are_shown_to_go_with_their_networks(tmp_path):
    versions = tuple(f"version-{i}" for i in range(8))
    run = make_run(tmp_path / "run", versions=versions)
    for i, version in enumerate(versions):
        put_labels(run, version, 0.5 + 0.05 * i)
    put_networks(run, "datasets/word", {"base": 0.9, **{version: 0.5 + 0.04 * i for i, version in enumerate(versions)}})

    found = only(run, RANKS)

    assert found.is_shown is True
    # 1 of 40,320 orders, for 16 comparisons and 2 tests.
    assert found.p_value == pytest.approx(18 / 40320)
    assert found.statement.startswith(
        "Better labels go with better networks: of 8 label versions, rank correlation 1.00"
    )


def test_the_table_has_a_row_for_each_finding_that_the_study_can_have(tmp_path):
    run = make_run(tmp_path / "run")
    put_networks(run, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": SCRATCH})
    loaded, found = judge(run)

    table = paper_finding_table(loaded, found)

    # One dataset has no other to differ from, and no labels were scored.
    assert [(row[0], row[1], row[-1]) for row in table.rows] == [
        (PRETRAINING, "word, pre-training for segthor", "shown"),
        (VERSIONS, "word, pre-training for segthor", "can't tell"),
    ]
    (tmp_path / "out").mkdir()
    write_table(table, tmp_path / "out")
    assert sorted(file.suffix for file in (tmp_path / "out").iterdir()) == [".csv", ".md", ".tex"]
    assert paper_finding_table(loaded, []) is None


def test_the_page_shows_the_findings_with_the_words_that_follow_from_their_tests(tmp_path):
    run = make_run(tmp_path / "run", datasets=("word", "btcv"))
    put_networks(run, "transfer/segthor/word", {**PRETRAINED, "no-pretrain": SCRATCH})
    put_networks(run, "transfer/segthor/btcv", {version: dice - 0.1 for version, dice in PRETRAINED.items()})

    text = visible_text(make_report(run) / "index.html")

    assert "The paper’s findings, tested in this study" in text  # noqa: RUF001
    assert re.search(
        r"datasets matter more than labels all datasets, pre-training for segthor Networks vary more", text
    )
    assert re.search(r"Can&#39;t tell: no network of no-pretrain has scores. – – can&#39;t tell", text)  # noqa: RUF001
    assert "paper-findings.csv" in {file.name for file in (tmp_path / "report/tables").iterdir()}
