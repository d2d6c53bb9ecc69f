"""The paper's findings as tests of a study: what the paper reads off its tables, this study's networks must show.

    pre-training      networks fine-tuned from the reference labels' network against those trained from scratch
    label versions    how many of them are shown to pre-train as well as the reference labels, within the margin
    columns, rows     whether fine-tuned networks vary more between datasets than between label versions
    ranks             whether better labels go with better networks, in-domain

The label versions' tests are those of `decide`. Each of the others has one share of the test plan. What isn't shown may
still be true, so nothing is ever said to make no difference.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from coordinator.results.run import Run, RunDataset, Transfer
from coordinator.results.summaries import Results
from coordinator.statistics.comparison import compare
from coordinator.statistics.components import compare_components, complete_part
from coordinator.statistics.correlation import p_rank_agreement, spearman
from coordinator.statistics.gains import Cube, count_organs, finite_mean, make_cube, mean_over_organs
from coordinator.statistics.intervals import FEWEST_TESTED, Interval
from coordinator.study.steps import NO_PRETRAIN
from coordinator.verdict.decide import Finding, is_equivalent
from coordinator.verdict.outcome import ONE_SEED, WORTH_IT
from coordinator.verdict.sentences import (
    TABLE_DIGITS,
    count_noun,
    format_gain,
    format_margin,
    format_points,
    join_names,
)
from coordinator.verdict.testplan import FEWEST_VERSIONS, TestPlan, make_test_plan

PRETRAINING, VERSIONS, COLUMNS, RANKS = (
    "pre-training helps",
    "label versions pre-train equally well",
    "datasets matter more than labels",
    "better labels go with better networks",
)


@dataclass(frozen=True, slots=True)
class PaperFinding:
    """A finding of the paper, tested in this study.

    Attributes:
        name: the finding.
        dataset: that networks were trained on; None for all.
        target: that they were fine-tuned on; None in-domain.
        statement: what this study shows of it, in a sentence.
        estimate: the gain in Dice; the difference of two standard deviations of Dice; the share of label versions; or
            the rank correlation. None where there is none.
        low: lower end of its interval; None where there is none.
        high: upper end of its interval.
        p_value: multiplied by the number of comparisons in the test plan, and at most 1; None without a test.
        is_shown: True; False where the opposite is shown; None where this study can't tell.
    """

    name: str
    dataset: str | None
    target: str | None
    statement: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    is_shown: bool | None = None


def paper_findings(run: Run, results: Results, findings: Sequence[Finding]) -> list[PaperFinding]:
    """Test the paper's findings, as far as the study has the networks for them.

    Args:
        run: the run.
        results: its means.
        findings: of `decide.findings`.
    """
    plan = make_test_plan(run)
    trained = [dataset for dataset in run.datasets if dataset.splits]
    tested = [transfer for transfer in run.transfers if not transfer.scores.is_empty()]
    return [
        *(_test_pretraining(run, plan, transfer, dataset) for transfer in tested for dataset in trained),
        *(f for t in tested for d in trained for f in _count_equivalent(run, findings, t, d)),
        *(_compare_columns(run, plan, transfer, trained) for transfer in tested if len(trained) > 1),
        *(f for dataset in trained for f in _test_ranks(results, plan, dataset)),
    ]


def _test_pretraining(run: Run, plan: TestPlan, transfer: Transfer, dataset: RunDataset) -> PaperFinding:
    finding = PaperFinding(PRETRAINING, dataset.name, transfer.target, "")
    scores = transfer.scores.filter(pl.col("dataset") == dataset.name)
    missing = [v for v in (run.reference, NO_PRETRAIN) if scores.filter(pl.col("version") == v).is_empty()]
    if missing:
        return replace(finding, statement=f"Can't tell: no network of {join_names(missing)} has scores.")
    cube = make_cube(scores, run.score.empty, list(transfer.labels), groups=transfer.groups)
    comparison = compare(cube, run.reference, NO_PRETRAIN, run.verdict.seed_std)
    if comparison is None:
        return replace(finding, statement="Can't tell: the networks share no case and organ that count.")
    found, cases = comparison.gain, len(comparison.gain.cases)
    finding = replace(finding, estimate=found.mean)
    ends = comparison.interval(1 - plan.share)
    if cases < FEWEST_TESTED or comparison.seeds is None or ends is None:
        doubt = ONE_SEED if cases >= FEWEST_TESTED else count_noun(cases, "held-out case")
        difference = f"Dice of these networks differs by {format_points(found.mean)} points"
        return replace(finding, statement=f"Can't tell: {doubt}. {difference}.")
    p_value = _multiply(plan, comparison.p_different())
    return _judge_pretraining(replace(finding, low=ends.low, high=ends.high, p_value=p_value), ends)


def _judge_pretraining(finding: PaperFinding, ends: Interval) -> PaperFinding:
    """Add the statement."""
    networks = "fine-tuned from the network on the reference labels"
    if ends.low > 0:
        text = f"Pre-training helps: Dice is {_at_least(ends.low)}higher {networks}."
        return replace(finding, statement=text, is_shown=True)
    if ends.high < 0:
        text = f"Pre-training harms: Dice is {_at_least(-ends.high)}lower {networks}."
        return replace(finding, statement=text, is_shown=False)
    between = format_gain(finding.estimate, finding.low, finding.high)
    return replace(finding, statement=f"Can't tell: Dice differs by {between} points {networks}.")


def _at_least(least: float) -> str:
    """Words for a lower bound in Dice, rounded down; none where that is 0."""
    points = math.floor(1000 * least) / 10
    return f"at least {points:.1f} points " if points else ""


def _count_equivalent(
    run: Run, findings: Sequence[Finding], transfer: Transfer, dataset: RunDataset
) -> Iterator[PaperFinding]:
    """Count the label versions that are shown to pre-train as well as the reference labels."""
    place = (dataset.name, transfer.target)
    mine = [f for f in findings if f.organ is None and (f.dataset, f.target) == place]
    if not mine:
        return
    margin = format_margin(run.verdict.margin)
    equivalent = [f.version for f in mine if is_equivalent(f, run.verdict) and f.outcome != WORTH_IT]
    worse = [f"{f.version} ({f.reason})" for f in mine if f.outcome == WORTH_IT]
    names = f" ({join_names(equivalent)})" if 0 < len(equivalent) < len(mine) else ""
    verb = "is" if len(equivalent) == 1 else "are"
    text = (
        f"{len(equivalent)} of {count_noun(len(mine), 'label version')} {verb} shown to be within ± {margin} of the "
        f"reference labels in Dice{names}."
    )
    if worse:
        text += f" Shown to be worse by the margin or more: {join_names(worse)}."
    elif len(equivalent) < len(mine):
        text += f" {_explain_open(mine, equivalent)}"
    p_values = [f.p_equivalent for f in mine]
    yield PaperFinding(
        VERSIONS, dataset.name, transfer.target, text,
        estimate=len(equivalent) / len(mine),
        p_value=None if None in p_values else max(p for p in p_values if p is not None),
        is_shown=False if worse else True if len(equivalent) == len(mine) else None,
    )  # fmt: skip


def _explain_open(findings: Sequence[Finding], equivalent: Sequence[str]) -> str:
    """Why the other label versions are open."""
    others = [f for f in findings if f.version not in equivalent]
    reasons = dict.fromkeys(f.reason for f in others if f.reason)
    reason = f": {next(iter(reasons))}" if len(reasons) == 1 else ""
    return f"Can't tell of {'the others' if equivalent else 'any'}{reason}."


def _compare_columns(run: Run, plan: TestPlan, transfer: Transfer, datasets: Sequence[RunDataset]) -> PaperFinding:
    """Compare the variance between datasets with that between label versions, the reference labels among them."""
    finding = PaperFinding(COLUMNS, None, transfer.target, "")
    names = [dataset.name for dataset in datasets]
    versions = [run.reference, *(v for v in run.versions if any(v in dataset.versions for dataset in datasets))]
    cube = make_cube(
        transfer.scores.with_columns(pl.concat_str("dataset", "version", separator="/").alias("version")),
        run.score.empty, list(transfer.labels), groups=transfer.groups,
    )  # fmt: skip
    present = np.array([[f"{name}/{version}" in cube.versions for version in versions] for name in names])
    columns, rows = complete_part(present)
    if min(len(columns), len(rows)) < 2:
        return replace(
            finding,
            statement="Can't tell: two datasets and two label versions whose networks all have scores are needed.",
        )
    cells = _arrange(cube, [[f"{names[i]}/{versions[j]}" for j in rows] for i in columns])
    components = compare_components(cells) if cells.shape[2] >= FEWEST_TESTED else None
    if components is None:
        return replace(
            finding, statement=f"Can't tell: all networks share {count_noun(cells.shape[2], 'held-out case')}."
        )
    p_value = _multiply(plan, components.p_columns)
    left_out = [
        *(n for i, n in enumerate(names) if i not in columns),
        *(v for j, v in enumerate(versions) if j not in rows),
    ]
    spread = (
        f"the standard deviation of Dice is {100 * components.columns_std:.1f} points between {len(columns)} datasets "
        f"and {100 * components.rows_std:.1f} between {len(rows)} label versions"
        + (f", without {join_names(left_out)}, of which networks have no scores" if left_out else "")
    )
    shown = p_value <= plan.alpha
    return replace(
        finding,
        statement=f"Networks vary more between these datasets than between these label versions: {spread}."
        if shown else f"Can't tell: {spread}; so few could differ as much by chance.",
        estimate=components.columns_std - components.rows_std, p_value=p_value, is_shown=True if shown else None,
    )  # fmt: skip


def _arrange(cube: Cube, names: Sequence[Sequence[str]]) -> np.ndarray:
    """(columns, rows, cases) scores of networks, on cases and organs that all of them have."""
    tables = np.array([[finite_mean(cube.networks(name), axis=1) for name in column] for column in names])
    present = np.isfinite(tables).all(axis=(0, 1))
    counted = present & count_organs(present)
    if not counted.any():
        return np.empty((*tables.shape[:2], 0))
    kept = np.where(counted, tables, np.nan)
    return np.array([[mean_over_organs(table).by_case for table in column] for column in kept])


def _test_ranks(results: Results, plan: TestPlan, dataset: RunDataset) -> Iterator[PaperFinding]:
    """Test whether better labels go with better networks, in-domain."""
    pairs = [
        (round(labels.dice, TABLE_DIGITS), round(network.dice, TABLE_DIGITS))
        for version in dataset.versions
        if (labels := results.labels(dataset.name, version)) and (network := results.model(dataset.name, version))
    ]
    first, second = [label for label, _ in pairs], [network for _, network in pairs]
    correlation, p_value = spearman(first, second), p_rank_agreement(first, second)
    if correlation is None or p_value is None:
        return
    count = f"{len(pairs)} label versions"
    multiplied = _multiply(plan, p_value) if len(pairs) >= FEWEST_VERSIONS else None
    shown = multiplied is not None and multiplied <= plan.alpha
    ranks = f"of {count}, rank correlation {correlation.value:.2f}".replace("-", "−")  # noqa: RUF001 - a minus sign
    chance = f"chance alone ranks as much alike in {100 * p_value:.2g} % of all orders"
    doubt = chance if multiplied is not None else f"{chance}, and no order of {count} is rare enough to be tested"
    yield PaperFinding(
        RANKS, dataset.name, None,
        f"Better labels go with better networks: {ranks}; {chance}." if shown else f"Can't tell: {ranks}; {doubt}.",
        estimate=correlation.value, p_value=multiplied, is_shown=True if shown else None,
    )  # fmt: skip


def _multiply(plan: TestPlan, p_value: float) -> float:
    """A p-value, multiplied by the number of comparisons, so that it is compared with `plan.alpha`."""
    return min(1.0, p_value * plan.alpha / plan.share)
