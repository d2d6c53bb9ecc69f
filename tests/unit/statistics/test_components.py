"""Variance components: do scores vary more by column than by row? Studies are simulated with known variances."""

import numpy as np
import pytest
from scipy.stats import f as fisher

from coordinator.statistics.components import compare_components, complete_part

KEY = 611_953


def draw(shape: tuple[int, int, int], std: float, noise: tuple[float, float, float, float], key: int) -> np.ndarray:
    """(columns, rows, cases) scores of equal components; noise of cells, column x case, row x case and networks x case."""
    columns, rows, cases = shape
    random = np.random.Generator(np.random.Philox(key=[KEY, key]))
    cells, of_columns, of_rows, of_networks = noise
    return (
        random.normal(0, std, (columns, 1, 1)) + random.normal(0, std, (1, rows, 1))
        + random.normal(0, cells, (columns, rows, 1)) + random.normal(0, of_columns, (columns, 1, cases))
        + random.normal(0, of_rows, (1, rows, cases)) + random.normal(0, of_networks, shape)
    )  # fmt: skip


@pytest.mark.parametrize(("columns", "rows"), [(2, 3), (2, 9), (3, 8), (6, 4)])
@pytest.mark.parametrize("noise", [(1, 0, 0, 1), (0.3, 3, 0.3, 1), (0.3, 0.3, 3, 1)], ids=["cells", "columns", "rows"])
def test_equal_components_are_seldom_taken_for_different_ones(columns, rows, noise):
    studies = 300
    for std in (0.0, 3.0):
        p_values = [compare_components(draw((columns, rows, 8), std, noise, i)).p_columns for i in range(studies)]

        # 15 of 300 are expected at most; 27 or more would come in 3 of 1000.
        assert sum(p <= 0.05 for p in p_values) <= 26
        # 1.5 are expected at most.
        assert sum(p <= 0.005 for p in p_values) <= 6


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_a_row_that_differs_from_all_others_does_not_make_equal_variances_seem_different(size):
    # As many label versions as the paper has, one of which is far off; the datasets' variance is the same.
    columns, rows = np.array([-1.0, 0.2, 0.8, -0.7, 0.7]), np.eye(8)[0] - 1 / 8
    effects = (columns / columns.std(ddof=1))[:, None, None] + (rows / rows.std(ddof=1))[None, :, None]

    p_values = [
        compare_components(size * effects + draw((5, 8, 8), 0.0, (0.3, 3, 0.3, 1), i)).p_columns for i in range(300)
    ]

    assert sum(p <= 0.05 for p in p_values) <= 26


def test_with_as_many_columns_as_rows_it_is_fishers_test():
    table = draw((4, 4, 1), 1.0, (0.5, 0, 0, 0), 1)

    found = compare_components(table)

    ratio = table.mean(axis=(1, 2)).var(ddof=1) / table.mean(axis=(0, 2)).var(ddof=1)
    assert found.p_columns == pytest.approx(fisher.sf(ratio, 3, 3), abs=1e-4)


def test_components_are_those_done_by_hand():
    # Columns 0 and 10, rows -1, 0 and 1, and ± 0.3 that neither explains: its variance is 6 * 0.09 / 2 = 0.27.
    rest = np.array([[0.3, -0.3, 0.0], [-0.3, 0.3, 0.0]])
    table = np.array([[0.0], [10.0]]) + np.array([[-1.0, 0.0, 1.0]]) + rest

    found = compare_components(table[..., None])

    residual = (rest**2).sum() / 2
    assert found.columns_std == pytest.approx((50 - residual / 3) ** 0.5)
    assert found.rows_std == pytest.approx((1 - residual / 2) ** 0.5)


def test_columns_ten_points_apart_differ_more_than_rows_a_fifth_apart():
    table = np.array([[0.90], [0.80]]) + np.array([[0.0, 0.002, 0.004]])

    assert compare_components(table[..., None]).p_columns < 0.001


def test_columns_that_differ_by_the_noise_of_cases_alone_are_not_shown():
    # Each dataset's networks do well on other cases, so that means over 8 cases differ, and versions not at all.
    p_values = [compare_components(draw((5, 8, 8), 0.0, (0.0, 2.0, 0.0, 0.1), i)).p_columns for i in range(100)]
    # Of the means alone, the test would take this noise for a difference each time.
    of_means = [
        compare_components(draw((5, 8, 8), 0.0, (0.0, 2.0, 0.0, 0.1), i).mean(axis=2, keepdims=True)).p_columns
        for i in range(100)
    ]

    assert sum(p <= 0.05 for p in p_values) <= 12
    assert sum(p <= 0.05 for p in of_means) >= 95


def test_scores_in_another_order_give_the_same():
    scores = draw((3, 5, 6), 1.0, (0.5, 1, 0.2, 1), 2)

    turned = compare_components(scores[::-1][:, ::-1, ::-1])

    expected = compare_components(scores)
    assert turned.p_columns == pytest.approx(expected.p_columns, rel=1e-6)
    assert turned.columns_std == pytest.approx(expected.columns_std)


def test_a_table_without_any_difference_shows_none():
    assert compare_components(np.full((2, 3, 4), 0.9)).p_columns == 1.0
    assert compare_components(np.full((1, 3, 4), 0.9)) is None


def test_the_row_of_a_failed_network_is_dropped_rather_than_many_columns():
    # The paper's Table 3: one label version lacks two of five datasets.
    present = np.ones((5, 8), bool)
    present[[2, 3], 5] = False

    assert complete_part(present) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 6, 7])
    assert complete_part(np.array([[True, True], [False, False]])) == ([0], [0, 1])
    assert complete_part(np.zeros((2, 2), bool)) in [([], []), ([0, 1], []), ([], [0, 1])]
