"""Gains of networks on scores written by hand, and against a cluster-robust regression."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from coordinator.statistics.gains import Cube, gain, mean_over_organs, merge_groups


def cube(base: np.ndarray, version: np.ndarray) -> Cube:
    """Scores (cases, seeds, organs) of the networks on two versions."""
    cases, seeds, organs = base.shape
    names = tuple("abcdefghijklmnopqrstuvwxyz"[:cases])
    return Cube(("base", "v"), names, tuple(range(seeds)), tuple(range(1, organs + 1)), np.stack([base, version]))


def test_the_gain_is_the_difference_of_means_of_organ_means_when_organs_are_missing():
    base, version = np.full((4, 1, 2), np.nan), np.full((4, 1, 2), np.nan)
    base[:, 0, 0], version[:, 0, 0] = [0.9, 0.8, 0.7, 0.6], [0.8, 0.6, 0.7, 0.5]
    base[:3, 0, 1], version[:3, 0, 1] = [0.5, 0.7, 0.6], [0.4, 0.7, 0.6]  # the fourth case lacks the second organ

    result = gain(cube(base, version), "base", "v")

    # Organ means: (0.1 + 0.2 + 0 + 0.1) / 4 = 0.1 and (0.1 + 0 + 0) / 3 = 1 / 30.
    assert result.mean == pytest.approx((0.1 + 1 / 30) / 2)
    assert result.left_out == ()
    assert gain(cube(base, version), "base", "nobody") is None


def test_without_gaps_each_case_gains_its_mean_over_organs():
    random = np.random.Generator(np.random.Philox(key=1))
    base, version = random.normal(size=(2, 7, 2, 4))

    result = gain(cube(base, version), "base", "v")

    assert result.by_case == pytest.approx((base - version).mean(axis=(1, 2)))
    assert result.freedom == pytest.approx(6)


def test_an_organ_in_fewer_than_three_cases_leaves_the_mean_and_is_named():
    """Its case would shift the mean and add no variance: intervals held in 8 to 17 % of studies."""
    base, version = np.full((8, 1, 3), 0.8), np.full((8, 1, 3), 0.7)
    base[2:, 0, 2] = np.nan
    version[:2, 0, 2] = 0.1

    result = gain(cube(base, version), "base", "v")

    assert (result.mean, result.left_out) == (pytest.approx(0.1), (3,))


def test_two_cases_in_all_keep_their_organs():
    result = gain(cube(np.full((2, 1, 1), 0.8), np.full((2, 1, 1), 0.7)), "base", "v")

    assert (result.mean, len(result.cases), result.left_out) == (pytest.approx(0.1), 2, ())


def test_the_variance_with_gaps_is_that_of_a_cluster_robust_regression():
    """CR2 of statsmodels has no degrees of freedom, but CR1's and ours agree where all organs have as many gaps."""
    random = np.random.Generator(np.random.Philox(key=2))
    table = random.normal(size=(12, 3)) + random.normal(size=(12, 1))
    for organ in range(3):
        table[organ * 4 : organ * 4 + 4, organ] = np.nan
    rows, columns = np.nonzero(np.isfinite(table))
    design = np.eye(3)[columns]
    fit = sm.OLS(table[rows, columns], design).fit(
        cov_type="cluster", cov_kwds={"groups": rows, "use_correction": False}
    )
    contrast = np.full(3, 1 / 3)

    mean = mean_over_organs(table)

    assert mean.by_case.mean() == pytest.approx(float(contrast @ fit.params))
    # CR0 lacks CR2's factor n_o / (n_o - 1) = 8 / 7 of each organ, which is the same for all of them here.
    ours = mean.by_case.var(ddof=1) / len(mean.by_case)
    assert ours == pytest.approx(float(contrast @ fit.cov_params() @ contrast) * 8 / 7)


def test_degrees_of_freedom_fall_towards_the_rarest_organs():
    table = np.zeros((20, 4))
    table[3:, 0] = np.nan

    rare = mean_over_organs(table).freedom

    assert mean_over_organs(np.zeros((20, 4))).freedom == pytest.approx(19)
    assert 2 < rare < 6


def test_a_version_of_other_seeds_is_compared_by_its_own_mean():
    base = np.full((3, 3, 1), np.nan)
    base[:, :, 0] = [0.8, 0.9, 1.0]
    version = np.full((3, 3, 1), np.nan)
    version[:, 0, 0] = 0.7

    assert gain(cube(base, version), "base", "v").mean == pytest.approx(0.2)


def test_scans_of_one_patient_are_one_case_however_many_they_are():
    """Weighed by scans, a patient with ten of them made intervals of 95 % that held in 84 % of studies."""
    random = np.random.Generator(np.random.Philox(key=3))
    base, version = random.normal(size=(2, 3, 2, 4))
    scans = [0, 0, 0, 0, 1, 1, 2]
    merged = merge_groups(cube(base[scans], version[scans]), dict(zip("abcdefg", "ppppqqr", strict=True)))

    result, alone = gain(merged, "base", "v"), gain(cube(base, version), "base", "v")

    assert result.by_case == pytest.approx(alone.by_case)
    assert (result.cases, result.freedom) == (("p", "q", "r"), pytest.approx(alone.freedom))


def test_an_organ_of_one_patient_leaves_the_mean_however_many_scans_have_it():
    """It entered with no error at all: labels were called worth it for three scans of one patient."""
    base, version = np.full((8, 1, 2), np.nan), np.full((8, 1, 2), np.nan)
    base[:, 0, 0], version[:, 0, 0] = 0.8, 0.8
    base[:3, 0, 1], version[:3, 0, 1] = 0.9, 0.1

    result = gain(merge_groups(cube(base, version), dict.fromkeys("abc", "p")), "base", "v")

    assert (result.mean, result.left_out, len(result.cases)) == (pytest.approx(0.0), (2,), 6)


def test_a_group_lies_in_the_fold_of_its_cases():
    folded = replace(cube(np.ones((4, 1, 1)), np.ones((4, 1, 1))), folds=(0, 1, 1, 0))

    merged = merge_groups(folded, {"b": "p", "c": "p"})

    assert (merged.cases, merged.folds) == (("a", "p", "d"), (0, 1, 0))


def test_folds_widen_the_spread_over_cases_and_leave_the_gain():
    random = np.random.Generator(np.random.Philox(key=5))
    base, version = random.normal(size=(2, 6, 2, 4))

    plain, in_folds = (
        gain(replace(cube(base, version), folds=folds), "base", "v") for folds in ((), (0, 0, 1, 1, 2, 2))
    )

    assert in_folds.mean == pytest.approx(plain.mean)
    assert in_folds.by_case.var() == pytest.approx((1 + 3 / 2) * plain.by_case.var())
