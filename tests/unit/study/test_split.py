"""Which cases are held out."""

import pytest

from coordinator.study.settings import TrainSettings
from coordinator.study.split import split_cases


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
