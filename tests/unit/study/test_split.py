"""Which cases are held out."""

import pytest

from contract.errors import UsageError
from coordinator.study.settings import TrainSettings
from coordinator.study.split import draw_folds, split_cases


def test_the_split_depends_on_seed_and_cases_alone() -> None:
    cases = tuple(f"case_{i:02d}" for i in range(10))

    split = split_cases(cases, TrainSettings(), "toy")

    assert split == split_cases(cases, TrainSettings(epochs=1), "toy")
    assert split != split_cases(cases, TrainSettings(split_seed=1), "toy")
    assert len(split.holdout) == 2
    assert sorted(split.train + split.holdout) == list(cases)


@pytest.mark.parametrize(("count", "holdout", "held"), [(2, 0.01, 1), (2, 0.99, 1), (5, 0.5, 2), (30, 0.2, 6)])
def test_both_sides_of_the_split_have_cases(count: int, holdout: float, held: int) -> None:
    split = split_cases(tuple(map(str, range(count))), TrainSettings(holdout=holdout), "toy")

    assert len(split.holdout) == held
    assert len(split.train) == count - held


@pytest.mark.parametrize("seed", range(8))
def test_twins_are_kept_on_one_side(seed: int) -> None:
    cases = tuple(f"case_{i:02d}" for i in range(10))
    twins = [("case_01", "case_07"), ("case_02", "case_03", "case_05")]

    split = split_cases(cases, TrainSettings(split_seed=seed, holdout=0.4), "toy", twins)

    assert len(split.holdout) == 4
    assert all(len({case in split.holdout for case in group}) == 1 for group in twins)
    assert sorted(split.train + split.holdout) == list(cases)


@pytest.mark.parametrize("seed", range(8))
def test_scans_that_another_dataset_trains_on_are_not_held_out_nor_are_their_twins(seed: int) -> None:
    cases = tuple("abcdef")

    split = split_cases(cases, TrainSettings(split_seed=seed, holdout=0.5), "toy", [("a", "b")], {"a", "c"})

    assert set(split.holdout) == {"d", "e", "f"}


def test_where_every_scan_comes_twice_two_cases_are_held_out_instead_of_one() -> None:
    split = split_cases(tuple("abcd"), TrainSettings(holdout=0.25), "toy", [("a", "b"), ("c", "d")])

    assert split.holdout in {("a", "b"), ("c", "d")}


def test_a_dataset_of_one_scan_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="toy: some scan must be held out, but each is also on the training side"):
        split_cases(("a", "b"), TrainSettings(), "toy", [("a", "b")])


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_folds_hold_every_case_out_once(count: int) -> None:
    cases = tuple(f"case_{i:02d}" for i in range(10))

    folds = draw_folds(cases, TrainSettings(), "toy", count)

    assert sorted(case for fold in folds for case in fold.holdout) == list(cases)
    assert all(sorted(fold.train + fold.holdout) == list(cases) for fold in folds)
    assert {len(fold.holdout) for fold in folds} <= {10 // count, -(-10 // count)}
    assert folds == draw_folds(cases, TrainSettings(epochs=1), "toy", count)
    assert folds != draw_folds(cases, TrainSettings(split_seed=1), "toy", count)


@pytest.mark.parametrize("seed", range(8))
def test_a_group_is_held_out_in_one_fold(seed: int) -> None:
    cases = tuple(f"case_{i:02d}" for i in range(10))
    groups = [("case_01", "case_07"), ("case_02", "case_03", "case_05")]

    folds = draw_folds(cases, TrainSettings(split_seed=seed), "toy", 4, groups)

    assert all(sum(bool({*group} & {*fold.holdout}) for fold in folds) == 1 for group in groups)
    assert max(len(fold.holdout) for fold in folds) == 3


@pytest.mark.parametrize(("count", "groups"), [(4, []), (3, [("a", "b")])])
def test_more_folds_than_cases_or_groups_are_refused(count: int, groups: list[tuple[str, ...]]) -> None:
    with pytest.raises(UsageError, match=rf"toy: each of {count} folds needs a case to hold out, but there are 3 "):
        draw_folds(tuple("abc"), TrainSettings(), "toy", count, groups)
