"""Which cases get better labels first."""

import polars as pl

from coordinator.scoring.caseorder import draw_order, rank_cases

CASES = list("abcde")


def scores(dice: dict[str, list[float]], **more: str) -> pl.DataFrame:
    rows = [
        {"case": case, "label": i + 1, "organ": "", "dice": value, "surface_dice": 1.0, "reference_voxels": 9,
         "prediction_voxels": 9, **more}
        for case, values in dice.items() for i, value in enumerate(values)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_a_draw_depends_on_the_cases_and_the_seed_alone():
    draws = {seed: draw_order(CASES, seed) for seed in range(8)}

    assert all(sorted(order) == CASES for order in draws.values())
    assert draws == {seed: draw_order(CASES[::-1], seed) for seed in range(8)}
    assert len(set(map(tuple, draws.values()))) > 5


def test_the_worst_come_first_and_equal_ones_by_name():
    frame = scores({"a": [0.9, 0.8], "b": [0.2, 0.9], "c": [0.5, 0.6], "d": [0.6, 0.5], "e": [0.1]})

    assert rank_cases(frame, CASES, "base", [1, 2]) == list("ebcda")
    assert rank_cases(frame, ["d", "c"], "base", [1, 2]) == ["c", "d"]


def test_by_agreement_only_the_worse_version_counts_and_cases_that_can_not_be_ranked_come_last():
    rows = [("a", "base", 0.9), ("a", "v", 0.1), ("b", "base", 0.3), ("c", "base", float("nan")), ("d", "v", 0.0)]
    frame = pl.DataFrame(rows, ["case", "version", "others_dice"], orient="row").with_columns(pl.lit(1).alias("label"))

    assert rank_cases(frame, CASES, "base", [1, 2]) == list("bacde")


def test_organs_that_a_version_can_not_have_do_not_count():
    """They made a case worse for having the organ, whatever the labels."""
    frame = scores({"a": [0.9, 0.0], "b": [0.8]})

    assert rank_cases(frame, ["a", "b"], "base", [1, 2]) == ["a", "b"]
    assert rank_cases(frame, ["a", "b"], "base", [1]) == ["b", "a"]
