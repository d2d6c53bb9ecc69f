"""How the report's chance of a wrong claim is shared out, before any result is known.

    report: alpha
      └── each comparison: alpha / comparisons     one for each dataset, target dataset and label version; one more for
            │                                      each test of the paper's findings, and for each rule of mixtures
            ├── mean over organs: 4 of 6 parts     for Dice and Surface Dice together: an outcome errs on one side only,
            │                                      so two intervals err no more often than both sides of one
            ├── organs: 1 part                     divided by their number
            └── steps of label quality: 1 part     divided by their number; see `dose`

The parts add up (Bonferroni), so the chance that any outcome of the report is wrong is at most alpha, whatever is true.
Outcomes are read from the intervals that are shown. Tests in order would give organs no more: an outcome has several
ways of being wrong, and one that was right in one way would not have kept the share of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.results.run import Run

FEWEST_VERSIONS = 5
"""With fewer label versions, no order of them is rare enough to be tested."""


@dataclass(frozen=True, slots=True)
class TestPlan:
    """The shares of all tests of a report.

    Attributes:
        alpha: chance that any claim is wrong.
        verdicts: number of comparisons of the reference labels with a label version.
        tests: number of tests of the paper's findings.
        curves: number of rules by which label versions are mixed, on all datasets together.
    """

    __test__ = False  # not a test of pytest

    alpha: float
    verdicts: int
    tests: int
    curves: int = 0

    @property
    def share(self) -> float:
        """Of one comparison."""
        return self.alpha / max(self.verdicts + self.tests + self.curves, 1)

    @property
    def confidence(self) -> float:
        """Of the intervals of the mean over organs."""
        return 1 - self.share * 4 / 6

    def inner_confidence(self, count: int) -> float:
        """Of the intervals of so many organs, or of so many steps of label quality, of one comparison."""
        return 1 - self.share / 6 / max(count, 1)


def make_test_plan(run: Run) -> TestPlan:
    """Count what the study set out to compare, whether or not it got that far."""
    trained = [len(dataset.versions) for dataset in run.datasets if dataset.splits]
    return plan_tests(run.verdict.alpha, trained, len(run.transfers), len(run.mix.curves) if run.mix else 0)


def plan_tests(alpha: float, versions: Sequence[int], targets: int, rules: int = 0) -> TestPlan:
    """Count the comparisons of a study.

    Args:
        alpha: chance that any claim is wrong.
        versions: number of label versions beside the reference labels, of each dataset that networks are trained on.
        targets: number of target datasets.
        rules: by which two label versions are mixed.
    """
    verdicts = sum(versions) * (1 + targets)
    orders = sum(count >= FEWEST_VERSIONS for count in versions)
    pretraining = len(versions) * targets
    columns = targets if len(versions) > 1 else 0
    return TestPlan(alpha, verdicts, orders + pretraining + columns, rules * len(versions))
