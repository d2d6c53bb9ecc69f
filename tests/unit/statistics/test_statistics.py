"""Equations 2 to 4, and what is concluded, on numbers that can be checked in the head."""

import itertools
import math
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.statistics import organ_table, summary
from coordinator.statistics.correlation import pearson, spearman
from coordinator.statistics.gains import Cube, Gain, gain, seed_noise
from coordinator.statistics.hypotheses import holm, p_below_margin, p_equivalent
from coordinator.statistics.intervals import SeedNoise, interval, p_different
from coordinator.statistics.power import cases_needed, detectable_gain


def scores(rows: list[tuple[str, str, int, float]], **columns: object) -> pl.DataFrame:
    """Raw scores of (version, case, label, dice); surface Dice is half of Dice; NaN stands for two empty masks."""
    frame = pl.DataFrame(rows, schema=["version", "case", "label", "dice"], orient="row")
    size = pl.when(pl.col("dice").is_nan()).then(0).otherwise(100)
    return frame.with_columns(
        pl.lit("word").alias("dataset"),
        ("organ-" + pl.col("label").cast(pl.String)).alias("organ"),
        (pl.col("dice") / 2).alias("surface_dice"),
        size.alias("reference_voxels"),
        size.alias("prediction_voxels"),
        **{name: pl.lit(value) for name, value in columns.items()},
    )


TWO_ORGANS = scores(
    [
        ("medsam", "a", 1, 0.4), ("medsam", "b", 1, 0.8),
        ("medsam", "a", 2, 0.5), ("medsam", "b", 2, math.nan),
        ("medsam", "a", 9, 0.1), ("medsam", "b", 9, 0.1),
    ]
)  # fmt: skip


def test_scores_of_two_folders_make_a_table_of_organs_without_a_dataset():
    table = organ_table(TWO_ORGANS.drop("dataset", "version"), "raw")

    assert table.equals(organ_table(TWO_ORGANS, "raw").drop("dataset", "version"))


def test_an_organ_has_mean_and_population_deviation_over_its_cases():
    liver = organ_table(TWO_ORGANS, "raw").row(0, named=True)

    assert (liver["dataset"], liver["version"], liver["label"], liver["organ"]) == ("word", "medsam", 1, "organ-1")
    assert (liver["n"], liver["dice_mean"], liver["dice_std"]) == (2, pytest.approx(0.6), pytest.approx(0.2))
    assert (liver["surface_dice_mean"], liver["surface_dice_std"]) == (pytest.approx(0.3), pytest.approx(0.1))


def test_a_dropped_score_counts_in_no_mean_and_not_in_n():
    organ = organ_table(TWO_ORGANS, "raw").row(1, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (1, pytest.approx(0.5), 0.0)


def test_the_convention_decides_what_is_dropped():
    organ = organ_table(TWO_ORGANS, "flare21").row(1, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (2, pytest.approx(0.75), pytest.approx(0.25))


def test_an_organ_without_any_score_has_n_of_zero():
    organ = organ_table(scores([("medsam", "a", 3, math.nan)]), "raw").row(0, named=True)

    assert (organ["n"], organ["dice_mean"], organ["dice_std"]) == (0, None, None)


def test_the_summary_averages_means_and_takes_the_root_mean_square_of_deviations():
    row = summary(TWO_ORGANS, "flare21", {"word": [1, 2]}).row(0, named=True)

    assert row["dice"] == pytest.approx((0.6 + 0.75) / 2)
    assert row["dice_std"] == pytest.approx(math.sqrt((0.2**2 + 0.25**2) / 2))
    assert row["organs"] == 2


def test_the_summary_leaves_out_labels_that_are_not_common():
    row = summary(TWO_ORGANS, "raw", {"word": [1]}).row(0, named=True)

    assert (row["dice"], row["organs"]) == (pytest.approx(0.6), 1)


def test_the_summary_counts_only_organs_that_have_a_score():
    frame = pl.concat([TWO_ORGANS, scores([("medsam", "a", 3, math.nan)])])

    row = summary(frame, "raw", {"word": [1, 2, 3]}).row(0, named=True)

    assert (row["dice"], row["organs"]) == (pytest.approx(0.55), 2)


def test_each_seed_is_a_row_of_its_own():
    frame = pl.concat([scores([("base", "a", 1, 0.5)], seed=0), scores([("base", "a", 1, 0.7)], seed=1)])

    assert summary(frame, "raw", {"word": [1]}).select("seed", "dice").rows() == [(0, 0.5), (1, 0.7)]


def test_a_dataset_without_common_labels_is_refused():
    with pytest.raises(ValueError, match="common_labels must name every dataset, but lacks word"):
        summary(TWO_ORGANS, "raw", {"btcv": [1]})


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_bit(random):
    rows = [
        (v, c, i, (7 * n % 11) / 13)
        for n, (v, c, i) in enumerate((v, c, i) for v in "zab" for c in "xyz" for i in (2, 1))
    ]
    shuffled = random.sample(rows, len(rows))

    assert summary(scores(shuffled), "raw", {"word": [1, 2]}).equals(summary(scores(rows), "raw", {"word": [1, 2]}))


def a_gain(values: list[float], seeds: int = 1) -> Gain:
    return Gain(np.array(values), tuple(map(str, range(len(values)))), seeds)


def test_holm_multiplies_the_smallest_by_the_number_and_never_falls():
    # 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 and 0.04 * 1, raised to 0.06.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_with_three_cases_the_interval_is_students():
    # Mean 0.02, standard deviation 0.01; t of 2 degrees of freedom at 97.5 % is 4.3027.
    low, high = interval(a_gain([0.01, 0.02, 0.03]))

    half = 4.3027 * 0.01 / math.sqrt(3)
    assert (low, high) == (pytest.approx(0.02 - half, abs=1e-6), pytest.approx(0.02 + half, abs=1e-6))
    # t = 0.02 / (0.01 / sqrt 3) = 3.4641, whose two-sided p-value with 2 degrees of freedom is 0.0742.
    assert p_different(a_gain([0.01, 0.02, 0.03])) == pytest.approx(0.0742, abs=1e-4)


@pytest.mark.parametrize("noise", [None, SeedNoise(0.01, 1), SeedNoise(0.01, 6)])
@pytest.mark.parametrize("cases", [3, 7, 30])
def test_the_interval_begins_at_zero_at_the_confidence_that_the_p_value_says(cases, noise):
    values = np.random.Generator(np.random.Philox(key=cases)).gamma(2, 0.02, cases)
    gain = a_gain(list(values), seeds=2)

    p = p_different(gain, noise)

    assert 0 < p < 1
    assert interval(gain, noise, 1 - p)[0] == pytest.approx(0, abs=1e-5)


def test_a_skewed_gain_has_a_longer_upper_arm():
    low, high = interval(a_gain([0.0, 0.0, 0.01, 0.01, 0.02, 0.02, 0.03, 0.2]))

    mean = 0.29 / 8
    assert high - mean > 1.5 * (mean - low)


def test_seed_noise_widens_the_interval():
    values = [0.01, 0.02, 0.03, 0.02, 0.01, 0.03]

    alone, with_seeds = interval(a_gain(values, 2)), interval(a_gain(values, 2), SeedNoise(0.02, 5))

    assert with_seeds[0] < alone[0] and with_seeds[1] > alone[1]


def test_gains_that_are_all_the_same_are_as_certain_as_a_coin_that_fell_on_one_side():
    same = a_gain([0.05] * 6)

    assert interval(same) == (pytest.approx(0.05), pytest.approx(0.05))
    assert p_different(same) == pytest.approx(2 / 64)
    assert p_different(a_gain([0.0] * 6)) == 1.0
    assert p_equivalent(a_gain([0.0] * 6), 0.01) == pytest.approx(2 / 64)


def test_one_and_two_cases_show_nothing():
    assert interval(a_gain([0.3])) is None
    assert p_different(a_gain([0.3])) == 1.0
    assert p_different(a_gain([0.3, 0.3001])) == 1.0
    assert p_below_margin(a_gain([0.0, 0.0]), 0.01) == 1.0


def test_equivalence_needs_both_sides():
    small, lost = a_gain([0.001, -0.001, 0.002, 0.0, 0.001, -0.002]), a_gain([-0.05, -0.06, -0.05, -0.04, -0.05, -0.06])

    assert p_equivalent(small, 0.01) < 0.01
    assert p_below_margin(lost, 0.01) < 0.01 and p_equivalent(lost, 0.01) == 1.0


def test_intervals_cover_and_tests_err_as_promised_in_a_small_simulation():
    """The whole table is `tests/benchmarks/calibration.py`; 800 studies tell 95 % to within 2.3 % (three deviations)."""
    random = np.random.Generator(np.random.Philox(key=5))
    for cases, draw in itertools.product((3, 6, 12), (random.normal, partial(random.standard_t, 4))):
        gains = [a_gain(list(draw(size=cases))) for _ in range(800)]
        found = [interval(gain) for gain in gains]
        wrong = sum(p_below_margin(a_gain(list(gain.by_case + 1)), 1.0) <= 0.05 for gain in gains[:300])
        assert 0.93 - 0.02 <= np.mean([low <= 0 <= high for low, high in found]) <= 0.98
        assert wrong / 300 <= 0.06


def test_a_percentile_bootstrap_would_not_cover():
    """Why the intervals are not simpler: with five cases a plain percentile bootstrap holds the truth in 4 of 5 studies."""
    random = np.random.Generator(np.random.Philox(key=6))
    values = random.normal(size=(800, 5))
    drawn = values[:, random.integers(0, 5, (1000, 5))].mean(axis=2)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)

    assert np.mean((low <= 0) & (high >= 0)) < 0.87


def test_the_gain_is_the_difference_of_means_of_organ_means_though_organs_miss():
    scores = np.full((2, 3, 1, 2), np.nan)
    scores[0, :, 0, 0], scores[1, :, 0, 0] = [0.9, 0.8, 0.7], [0.8, 0.6, 0.7]
    scores[0, :2, 0, 1], scores[1, :2, 0, 1] = [0.5, 0.7], [0.4, 0.7]  # the third case lacks the second organ
    cube = Cube(("base", "v"), ("a", "b", "c"), (0,), (1, 2), scores)

    found = gain(cube, "base", "v")

    # Organ means: (0.1 + 0.2 + 0) / 3 = 0.1 and (0.1 + 0) / 2 = 0.05; their mean 0.075.
    assert found.mean == pytest.approx(0.075)
    # First case: 0.075 + 3 / 2 * (0 / 3 + 0.05 / 2).
    assert found.by_case[0] == pytest.approx(0.075 + 1.5 * 0.025)
    assert gain(cube, "base", "nobody") is None


def test_seed_noise_is_the_spread_between_seeds_less_that_of_cases():
    # Two cases, two seeds, no residual: seed means 0.5 and 0.54, variance 0.0008.
    exact = Cube(("v",), ("a", "b"), (0, 1), (1,), np.array([[[[0.4], [0.44]], [[0.6], [0.64]]]]))
    # Seeds differ in opposite directions: their means are the same, all of it is residual.
    none = Cube(("v",), ("a", "b"), (0, 1), (1,), np.array([[[[0.4], [0.44]], [[0.64], [0.6]]]]))

    assert seed_noise(exact).std == pytest.approx(math.sqrt(0.0008))
    assert seed_noise(exact).freedom == 1
    assert seed_noise(none).std == 0
    # 12.706 * sqrt(0.0008) * sqrt(2 / 2)
    assert seed_noise(exact).floor(2) == pytest.approx(12.7062 * math.sqrt(0.0008), rel=1e-4)


def test_one_seed_has_no_noise_to_speak_of():
    assert seed_noise(Cube(("v",), ("a", "b"), (0,), (1,), np.zeros((1, 2, 1, 1)))) is None


def test_the_detectable_gain_shrinks_with_cases_and_agrees_with_the_cases_needed():
    # n = 10: (t_{9; 0.975} + t_{9; 0.8}) * 0.03 / sqrt 10 = (2.2622 + 0.8834) * 0.009487
    assert detectable_gain(0.03, 10, 0.05) == pytest.approx(3.1456 * 0.03 / math.sqrt(10), rel=1e-4)
    assert detectable_gain(0.03, 2, 0.05) is None
    needed = cases_needed(0.03, 0.01, 0.05)
    assert detectable_gain(0.03, needed, 0.05) <= 0.01 < detectable_gain(0.03, needed - 1, 0.05)
    assert cases_needed(0.03, 0.01, 0.05, SeedNoise(0.02, 5), seeds=2) is None


def test_correlation_has_fishers_interval():
    # Pearson of these is 0.8; atanh 0.8 = 1.0986, half width 1.95996 / sqrt 2: tanh(-0.2873), tanh(2.4845).
    found = pearson([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])

    assert found.value == pytest.approx(0.8)
    assert found.interval == (pytest.approx(-0.2796, abs=1e-3), pytest.approx(0.9862, abs=1e-3))


def test_rank_correlation_needs_three_different_values():
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]).value == pytest.approx(0.8)
    assert spearman([1, 2, 3], [1, 2, 3]).interval is None
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_ranks_that_agree_throughout_still_have_an_interval():
    low, high = spearman([1, 2, 3, 4, 5, 6], [1, 2, 4, 6, 8, 9]).interval

    assert 0.7 < low < high <= 1
