"""The verdict keeps its promises: studies with known truth, simulated, each judged as the report judges.

coverage     93 to 98 %    of 95 % intervals hold the true gain; some are wider
outcomes     <= 5 %        of studies have any wrong outcome, over all label versions and both metrics
power        ± 5 points    of the four in five studies that are announced to show a gain

Gains lie where errors are easiest: at 0, at the margin, or just below it. Each line is a shape of study; where a line
promises nothing, its numbers say why. `tests/helpers/simulated.py` draws and judges the studies. A share is itself
drawn: a promise is met unless a share misses it by more than two of its standard errors, which the table prints where
they are largest. Lines of one or two label versions draw more studies, so that theirs are small too.

All constants of the methods were settled on other random numbers than those of the keys, which `--key` chooses.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.mixedruns import make_mixed_run
from helpers.simulated import Shape, draw_study, generator, judge_study
from helpers.simulatedfolds import FoldShape, draw_folds, true_gain
from helpers.simulatedmixtures import MixShape, draw_mixtures

from coordinator.results.load import load_run
from coordinator.statistics.comparison import compare
from coordinator.statistics.correlation import pearson, spearman
from coordinator.statistics.gains import Gain
from coordinator.statistics.intervals import interval
from coordinator.statistics.power import Design, detectable_distance
from coordinator.study.settings import VerdictSettings
from coordinator.verdict.mixtures import find_curves
from coordinator.verdict.outcome import CANNOT_TELL

STUDIES = 1000
INTERVALS = 5
"""Intervals a number that are drawn at least, for each study that is asked for."""
KEY = 86028
CASES = (3, 5, 8, 10, 20, 40, 200)
SETTINGS = VerdictSettings(surface_margin=0.02)
MARGIN = SETTINGS.margin
BELOW = MARGIN - 1e-6
COVERAGE, AT_LEAST, ERROR, POWER = (0.93, 0.98), (0.93, 1.0), (0.0, 0.05), (0.75, 0.85)


@dataclass(frozen=True, slots=True)
class Line:
    """Studies of one shape.

    Attributes:
        what: it is about.
        shape: of the studies; its cases are replaced.
        cases: numbers of held-out cases.
        promised: the fewest cases from which coverage is promised; None where it never is.
        outcomes_promised: whether the rate of wrong outcomes is.
        datasets: datasets in one study, each of this shape.
        coverage: that is promised. Where one version is noisier, the calm ones are judged by it as well, and after a rare
            failure the spread is large: these intervals are wider than need be.
    """

    what: str
    shape: Shape
    cases: tuple[int, ...] = (3, 5, 8, 20, 40)
    promised: int | None = 3
    outcomes_promised: bool = True
    datasets: int = 1
    coverage: tuple[float, float] = COVERAGE
    given: bool = False


MIXED = (0.0, 0.0, MARGIN / 2, BELOW, MARGIN, MARGIN, 2 * MARGIN)
LINES = (
    Line("no gain, 1 version", Shape((0.0,))),
    Line("no gain, 7 versions", Shape((0.0,) * 7), (3, 5, 20, 40, 200)),
    Line("no gain, 13 organs", Shape((0.0,) * 3, organs=13), (5, 20, 40)),
    Line("gain at the margin, 7 versions", Shape((MARGIN,) * 7), (3, 5, 20, 40)),
    Line("gain just below the margin, 7 versions", Shape((BELOW,) * 7), (5, 40, 200)),
    Line("gains from 0 to twice the margin", Shape(MIXED), (5, 20, 40)),
    Line("4/5 of the margin, 3 versions", Shape((0.8 * MARGIN,) * 3)),
    Line("3 datasets, 3 versions, at the margin", Shape((MARGIN,) * 3), (5, 40), datasets=3),
    Line("noisy seeds (1 point)", Shape((0.0,) * 7, seed_std=0.01), (5, 40, 200)),
    Line("noisy seeds, 2 of each", Shape((0.0,) * 7, seed_std=0.01, seeds=2), (5, 20, 40)),
    Line("noisy seeds, 5 of each", Shape((MARGIN,) * 7, seed_std=0.01, seeds=5), (5, 20, 40)),
    Line("one version's seeds 7 times noisier", Shape((0.0,) * 7, seed_std=0.003, restless=7.0), (5, 20, 40), coverage=AT_LEAST),
    Line("the same, 2 versions", Shape((0.0,) * 2, seed_std=0.003, restless=7.0), (5, 20, 40), coverage=AT_LEAST),
    Line("the same, 1 version", Shape((0.0,), seed_std=0.003, restless=7.0), (5, 20, 40), coverage=AT_LEAST),
    Line("the same, 2 seeds of each", Shape((0.0,) * 2, seed_std=0.003, restless=7.0, seeds=2), (5, 40), promised=None),
    Line("1 seed, 3 on the reference", Shape((0.0,) * 7, seeds=1, noise_seeds=2), (5, 40, 200)),
    Line("1 seed, 5 on the reference", Shape((BELOW,) * 7, seeds=1, noise_seeds=4), (5, 20, 40)),
    Line("1 seed, 3 on the reference, restless", Shape((0.0,) * 2, seeds=1, noise_seeds=2, restless=7.0), (40,), None, False),
    Line("1 seed of each", Shape((0.0,) * 7, seeds=1, seed_std=0.01), (5, 40), promised=None),
    Line("organs absent in 4 of 10 cases", Shape((0.02,) * 3, absent=0.4)),
    Line("the same, true gain at the margin", Shape((MARGIN / 0.8,) * 3, absent=0.4)),
    Line("an organ in 3 cases, one in 1", Shape((0.0,) * 3, rare=(3, 1)), (8, 20, 40)),
    Line("13 organs, 3 of them in 1 case", Shape((BELOW,) * 3, organs=13, rare=(1, 1, 1)), (8, 20, 40)),
    Line("skewed gains (1)", Shape((MARGIN,) * 3, tail="skewed")),
    Line("very skewed gains (2)", Shape((MARGIN,) * 3, tail="very skewed"), promised=8),
    Line("heavy tails", Shape((BELOW,) * 3, tail="heavy")),
    Line("scores near 1", Shape((MARGIN,) * 3, bounded=True)),
    Line("scores near 1, gain of 5 points", Shape((0.05,) * 3, bounded=True)),
    Line("patients with 1 to 3 scans each", Shape((0.0,) * 3, scans=3), (5, 10, 20, 40)),
    Line("the same, organs absent in 4 of 10 cases", Shape((MARGIN / 0.8,) * 3, scans=3, absent=0.4), (8, 20, 40)),
    Line("one patient with 10 scans", Shape((0.0,) * 3, crowd=10), (20, 40)),
    Line("given noise of seeds", Shape((0.0,) * 3, seeds=1), (5, 40), given=True),
    Line("failures in 1 of 10 cases, 7 versions", Shape((0.0,) * 7, failures=0.1, case_std=0.005, seed_std=0.001), (30, 60), None),
    Line("a network fails in 1 of 10 cases", Shape((0.0,) * 3, failures=0.1), (5, 10, 30, 60), promised=60, coverage=AT_LEAST),
)  # fmt: skip

FOLDS = (
    ("5 folds, models of few features", FoldShape(folds=5, features=2)),
    ("5 folds, of many", FoldShape(folds=5, features=10)),
    ("5 folds, noisy seeds (2 points)", FoldShape(folds=5, seed_std=0.02)),
    ("3 folds", FoldShape(folds=3)),
    ("10 folds", FoldShape(folds=10)),
)
FOLD_CASES = (10, 20, 40)
MIXTURES = (
    ("all shares fall short by the margin", MixShape((("random", (MARGIN,) * 4), ("worst", (MARGIN,) * 4)))),
    ("shares of 4 margins to 1", MixShape((("random", (0.04, 0.03, 0.02, MARGIN)), ("worst", (0.03, 0.02, MARGIN, MARGIN))))),
    ("2 seeds, draws of 2 points", MixShape((("random", (MARGIN,) * 4), ("worst", (MARGIN,) * 4)), seeds=2, draw_std=0.02)),
    ("half is enough, worst first is better", MixShape((("random", (0.03, 0.01, 0.0, 0.0)), ("worst", (0.01, 0.0, 0.0, 0.0))), case_std=0.01, draw_std=0.003)),
)  # fmt: skip
MIX_CASES = (5, 20, 40)
FEWER = 4
"""Studies with mixtures have many networks, so there are fewer of them by this factor."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share that was found by simulation, and its standard error over the studies."""

    value: float
    error: float

    @classmethod
    def of(cls, studies: Sequence[float]) -> Self:
        """The mean of each study's share."""
        return cls(float(np.mean(studies)), float(np.std(studies, ddof=1)) / len(studies) ** 0.5)

    def keeps(self, goal: tuple[float, float]) -> bool:
        """Whether it is within the goal, or misses it by no more than its own error explains."""
        return goal[0] - 2 * self.error <= self.value <= goal[1] + 2 * self.error


def simulate(line: Line, cases: int, studies: int, key: int) -> tuple[Share, Share, Share]:
    """Coverage of all 95 % intervals, the share of studies with a wrong outcome, the share of outcomes that tell."""
    shape = replace(line.shape, cases=cases)
    versions = line.datasets * len(shape.gains)
    others = versions - len(shape.gains)
    covered, told, wrong = [], [], []
    given = {"seed_std": shape.seed_std, "seed_std_source": "the truth"} if line.given else {}
    settings = SETTINGS.model_copy(update=given)
    for number in range(studies * max(1, math.ceil(INTERVALS / versions))):
        judged = [
            one
            for dataset in range(line.datasets)
            for one in judge_study(draw_study(shape, generator(key, cases, number, dataset)), settings, others)
        ]
        covered.append(float(np.mean([one.covers() for one in judged])))
        told.append(float(np.mean([one.outcome != CANNOT_TELL for one in judged])))
        wrong.append(float(any(one.is_wrong(SETTINGS) for one in judged)))
    return Share.of(covered), Share.of(wrong), Share.of(told)


def simulate_power(cases: int, confidence: float, studies: int, key: int) -> Share:
    """The share of studies that show a gain of which four in five are announced to."""
    distance = detectable_distance(Design(1.0, cases, confidence))
    assert distance is not None
    draws = generator(key, cases, int(1e6 * confidence)).normal(distance, 1.0, (studies, cases))
    names = tuple(map(str, range(cases)))
    ends = (interval(Gain(by_case, names, cases - 1.0), None, confidence) for by_case in draws)
    return Share.of([float(end is not None and end.low > 0) for end in ends])


def simulate_correlation(rho: float, pairs: int, studies: int, key: int, *, ranks: bool) -> Share:
    """Share of intervals of a correlation that hold the truth, for pairs from a bivariate normal distribution."""
    random = generator(key, pairs)
    truth = 6 / np.pi * np.arcsin(rho / 2) if ranks else rho
    held = []
    for _ in range(studies):
        first, second = random.normal(size=(2, pairs))
        found = (spearman if ranks else pearson)(first, rho * first + (1 - rho**2) ** 0.5 * second)
        ends = None if found is None else found.interval
        held.append(float(ends is not None and ends[0] <= truth <= ends[1]))
    return Share.of(held)


def simulate_folds(shape: FoldShape, studies: int, key: int) -> tuple[Share, Share]:
    """Coverage of the gain on new cases over all training sets; then as if cases in folds were independent."""
    truth, held, naive = true_gain(shape), [], []
    for number in range(studies):
        cube, _ = draw_folds(shape, generator(key, number))
        for one, found in ((cube, held), (replace(cube, folds=()), naive)):
            comparison = compare(one, "base", "worse")
            ends = comparison and comparison.interval(0.95)
            found.append(float(bool(ends) and ends.low <= truth <= ends.high))
    return Share.of(held), Share.of(naive)


def simulate_mixtures(shape: MixShape, studies: int, key: int) -> tuple[Share, Share]:
    """The share of studies with a wrong claim: of what is enough, or of which rule is better; and of those with any."""
    with tempfile.TemporaryDirectory() as folder:
        template = load_run(make_mixed_run(Path(folder) / "run"))
    losses, wrong, told = dict(shape.losses), [], []
    differences = {rule: float(np.mean(losses["random"]) - np.mean(loss)) for rule, loss in losses.items()}
    for number in range(studies):
        errs = claims = False
        for curve in find_curves(draw_mixtures(template, shape, generator(key, number))):
            if curve.enough:
                claims = True
                errs |= losses[curve.rule][curve.points.index(curve.enough)] >= MARGIN - 1e-9
            if curve.low is not None and curve.high is not None and not curve.low <= 0 <= curve.high:
                claims = True
                errs |= np.sign(curve.low) != np.sign(round(differences[curve.rule], 9))
        wrong.append(float(errs))
        told.append(float(claims))
    return Share.of(wrong), Share.of(told)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: shares by number of cases or pairs; `goal` is None where nothing is promised."""

    what: str
    shares: Mapping[int, Share]
    goal: tuple[float, float] | None
    promised: int = 0

    @property
    def met(self) -> bool:
        """Whether all shares keep the goal, of those that are promised."""
        goal = self.goal
        return goal is None or all(share.keeps(goal) for c, share in self.shares.items() if c >= self.promised)


def rows(studies: int, key: int) -> Iterator[Row]:
    """All lines of the table, one after the other."""
    for number, line in enumerate(LINES):
        found = {cases: simulate(line, cases, studies, key + number) for cases in line.cases}
        coverage = {cases: share for cases, (share, _, _) in found.items()}
        yield Row(
            f"{line.what}: coverage", coverage, None if line.promised is None else line.coverage, line.promised or 0
        )
        yield Row("  wrong", {c: w for c, (_, w, _) in found.items()}, ERROR if line.outcomes_promised else None)
        yield Row("  told", {c: t for c, (_, _, t) in found.items()}, None)
    for number, (what, shape) in enumerate(FOLDS):
        held = {c: simulate_folds(replace(shape, cases=c), studies, key + 100 + number) for c in FOLD_CASES}
        yield Row(f"{what}: coverage", {c: share for c, (share, _) in held.items()}, AT_LEAST)
        yield Row("  if cases were independent", {c: share for c, (_, share) in held.items()}, None)
    for number, (what, mixed) in enumerate(MIXTURES):
        shown = {
            c: simulate_mixtures(replace(mixed, cases=c), max(studies // FEWER, 2), key + 200 + number)
            for c in MIX_CASES
        }
        yield Row(f"mixtures, {what}: wrong", {c: share for c, (share, _) in shown.items()}, ERROR)
        yield Row("  told", {c: share for c, (_, share) in shown.items()}, None)
    for confidence in (0.95, 0.995):
        shown = {c: simulate_power(c, confidence, 4 * studies, key) for c in CASES}
        yield Row(f"power, intervals of {100 * confidence:g} %", shown, POWER, promised=5)
    for rho in (0.0, 0.7, 0.9):
        for ranks, pairs in ((False, (5, 8, 10)), (True, (8, 10))):
            held = {c: simulate_correlation(rho, c, 4 * studies, key, ranks=ranks) for c in pairs}
            yield Row(f"coverage: {'rank ' if ranks else ''}correlation {rho:g}", held, COVERAGE)


def _describe(row: Row) -> str:
    if row.goal is None:
        return ""
    low, high = (100 * end for end in row.goal)
    goal = f">= {low:g} %" if high == 100 else f"{low:g} to {high:g} %" if low else f"<= {high:g} %"
    since = f" from {row.promised} cases" if row.promised > min(row.shares) else ""
    return f"{goal}{since}   {'met' if row.met else 'NOT MET'}"


def print_table(studies: int, key: int, write: Callable[[str], object] = sys.stdout.write) -> bool:
    """Print the table as it comes; whether all promises are kept."""
    since, met = time.process_time(), True
    columns = sorted({*CASES, 30, 60})
    write(
        f"key {key}, {studies} simulated studies a number or more; percent, by held-out cases (pairs for correlations)\n"
    )
    write(f"{'':<48}{''.join(f'{c:>7}' for c in columns)}    ±   goal\n")
    for row in rows(studies, key):
        cells = "".join(f"{100 * row.shares[c].value:7.1f}" if c in row.shares else f"{'':7}" for c in columns)
        error = max(share.error for share in row.shares.values())
        write(f"{row.what:<48}{cells}  {100 * error:3.1f}   {_describe(row)}".rstrip() + "\n")
        sys.stdout.flush()
        met &= row.met
    write(f"{time.process_time() - since:.0f} s CPU\n")
    return met


def main() -> int:
    """Print the table for a key; 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key", type=int, default=KEY, help="of the random numbers")
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies a number")
    arguments = parser.parse_args()
    return 0 if print_table(arguments.studies, arguments.key) else 1


if __name__ == "__main__":
    raise SystemExit(main())
