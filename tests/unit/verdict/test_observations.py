"""What the report says of the results in words: true of these numbers, ties included, and no more than they show."""

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from coordinator.results.load import load_run
from coordinator.results.summaries import compute_results
from coordinator.verdict.observations import describe_results

CASES = [f"case_{i}" for i in range(6)]


def scores(cases: list[str], dice: float, **names: object) -> pl.DataFrame:
    """One organ; each case 0.02 above or below a Dice, the mean as given for an even number of cases."""
    return pl.DataFrame([
        {
            "dataset": "word", "case": case, "label": 1, "organ": "liver", "dice": dice + 0.02 * (-1) ** i,
            "surface_dice": dice - 0.1, "reference_voxels": 100, "prediction_voxels": 90, "tolerance_mm": 1.0, **names,
        }
        for i, case in enumerate(cases)
    ])  # fmt: skip


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def describe(folder: Path, labels: Mapping[str, float], networks: Mapping[str, float], labelled: int = 6) -> str:
    """All observations on a study with these Dice; the last version has labels for `labelled` cases."""
    (folder / "datasets/word/3-scores").mkdir(parents=True)
    (folder / "study.yaml").write_text("name: known\ntrain: {}\n", encoding="utf-8")
    write_json(folder / "plan.json", {
        "study": "known", "versions": {"word": [*labels]}, "labels": {"word": {"1": "liver"}}, "steps": [],
        "common_labels": {"word": [1]}, "split": {"word": {"train": CASES[:2], "holdout": CASES[2:]}}, "seeds": [0],
        "marks": {},
    })  # fmt: skip
    for version, dice in labels.items():
        cases = CASES[:labelled] if version == [*labels][-1] else CASES
        scores(cases, dice, version=version).write_parquet(folder / f"datasets/word/3-scores/{version}.parquet")
    for version, dice in networks.items():
        place = folder / f"datasets/word/6-predictions/{version}/seed-0"
        place.mkdir(parents=True)
        scores(CASES[2:], dice, version=version, seed=0).write_parquet(place / "scores.parquet")
    run = load_run(folder)
    return "\n".join(describe_results(run, compute_results(run)))


def versions(count: int) -> list[str]:
    return [f"v{i}" for i in range(count)]


def rising(count: int, first: float, step: float) -> dict[str, float]:
    return {version: first + step * i for i, version in enumerate(versions(count))}


def test_three_versions_a_tenth_of_a_point_apart_prove_nothing(tmp_path):
    """Better labels went with better networks throughout, as chance does in 1 of 6 orders."""
    text = describe(tmp_path, rising(3, 0.8, 0.001), {"base": 0.9} | rising(3, 0.85, 0.001))

    assert (
        "The 3 label versions and their networks rank alike (rank correlation 1.00), but chance alone ranks as much "
        "alike in 1 of 6 orders: fewer than 5 can't tell whether better labels go with better networks." in text
    )
    assert "went with better networks" not in text


def test_four_versions_in_one_order_claim_nothing_though_chance_does_it_in_1_of_24(tmp_path):
    text = describe(tmp_path, rising(4, 0.6, 0.05), rising(4, 0.7, 0.01))

    assert "in 1 of 24 orders: fewer than 5 can't tell" in text


def test_five_versions_in_one_order_are_a_finding(tmp_path):
    text = describe(tmp_path, rising(5, 0.6, 0.05), rising(5, 0.7, 0.01))

    assert (
        "Better labels went with better networks: the 5 label versions and their networks rank alike (rank correlation "
        "1.00; chance alone ranks as much alike in 1 of 120 orders)." in text
    )


def test_five_versions_are_no_finding_at_a_stricter_alpha(tmp_path):
    describe(tmp_path, rising(5, 0.6, 0.05), rising(5, 0.7, 0.01))
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "plan.json", {**plan, "verdict": {"alpha": 0.005}})
    run = load_run(tmp_path)

    assert "they can't tell" in "\n".join(describe_results(run, compute_results(run)))


def test_networks_in_the_opposite_order_are_no_evidence_of_anything(tmp_path):
    networks = dict(zip(versions(5), [0.75, 0.74, 0.73, 0.72, 0.71], strict=True))

    text = describe(tmp_path, rising(5, 0.6, 0.05), networks)

    assert (
        "Better labels did not go with better networks among these 5 label versions (rank correlation −1.00). That is "  # noqa: RUF001
        "no evidence that they do, and no test that they don't." in text
    )


def test_versions_that_the_tables_show_as_equal_are_called_equal(tmp_path):
    """Differences of 0.01 points are not in the tables' digits."""
    text = describe(tmp_path, rising(3, 0.8, 0.0001), {"base": 0.85} | rising(3, 0.85, 0.0001))

    assert "the labels of v0, v1 and v2 all have Dice 80.0 with the reference labels" in text
    assert (
        "Those on the labels of v0, v1 and v2 all have 85.0, as much as the network on the reference labels: in "
        "the digits of the tables they are equal." in text
    )
    assert "best" not in text and "rank" not in text


def test_all_of_the_best_and_of_the_worst_are_named(tmp_path):
    labels = {"v0": 0.9, "v1": 0.9, "v2": 0.7}
    networks = {"base": 0.88, "v0": 0.8, "v1": 0.85, "v2": 0.8}

    text = describe(tmp_path, labels, networks)

    assert "the labels of v0 and v1 agree best with the reference labels (Dice 90.0), those of v2 least (70.0)" in (
        text
    )
    assert (
        "that of v1 has the highest Dice (85.0, 3.0 points below the network on the reference labels), those of v0 and "
        "v2 have the lowest (80.0)" in text
    )


def test_equal_networks_on_different_labels_have_no_rank(tmp_path):
    text = describe(tmp_path, rising(3, 0.6, 0.1), dict.fromkeys(versions(3), 0.8))

    assert (
        "The networks of these 3 label versions are equal in the digits of the tables, whatever their labels." in text
    )


def test_two_versions_show_no_trend(tmp_path):
    text = describe(tmp_path, rising(2, 0.6, 0.1), rising(2, 0.8, 0.004))

    assert (
        "From v0 to v1, the labels' Dice rises by 10.0 points and these networks' Dice rises by 0.4; two label versions "
        "show no trend." in text
    )


def test_means_over_different_cases_are_said_to_be(tmp_path):
    text = describe(tmp_path, rising(3, 0.6, 0.1), rising(3, 0.8, 0.01), labelled=4)

    assert "Not all of these are means over the same cases (4 to 6 cases)." in text


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_what_holds_beyond_the_study_is_left_to_the_verdict(tmp_path, count: int):
    text = describe(tmp_path, rising(count, 0.6, 0.05), rising(count, 0.7, 0.01))

    assert text.endswith(
        "These paragraphs describe the networks of this study; what holds beyond them, only the verdict says."
    )
    assert "One seed, 4 held-out cases: how much another seed would change these numbers is not known" in text
