"""The paper's findings, tested in this study, as a table."""

from collections.abc import Sequence

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results.run import Run
from coordinator.verdict.paperfindings import COLUMNS, PRETRAINING, RANKS, PaperFinding
from coordinator.verdict.sentences import NO_NUMBER, format_gain, format_points
from coordinator.verdict.testplan import make_test_plan

WORDS = {True: "shown", False: "the opposite is shown", None: "can't tell"}


def paper_finding_table(run: Run, findings: Sequence[PaperFinding]) -> TextTable | None:
    """One row for each finding; None where this study has no networks for any."""
    if not findings:
        return None
    return TextTable(
        name="paper-findings",
        caption="The paper's findings, tested in this study.",
        columns=("finding", "where", "in this study", "estimate", "p, for all tests", "verdict"),
        rows=tuple(_row(finding) for finding in findings),
        notes=_notes(run),
        tidy=pl.DataFrame(findings, infer_schema_length=None).with_columns(
            pl.col("dataset").cast(pl.String).fill_null("all datasets"),
            pl.col("target").cast(pl.String).fill_null("in-domain"),
        ),
    )


def _row(finding: PaperFinding) -> tuple[str, ...]:
    where = f"{finding.dataset or 'all datasets'}, " + (
        "in-domain" if finding.target is None else f"pre-training for {finding.target}"
    )
    return (
        finding.name, where, finding.statement, _format_estimate(finding), _format_p(finding.p_value),
        WORDS[finding.is_shown],
    )  # fmt: skip


def _format_estimate(finding: PaperFinding) -> str:
    if finding.estimate is None:
        return NO_NUMBER
    if finding.name == PRETRAINING:
        return f"{format_gain(finding.estimate, finding.low, finding.high)} Dice points"
    if finding.name == COLUMNS:
        return f"{format_points(finding.estimate)} Dice points of standard deviation"
    if finding.name == RANKS:
        return f"rank correlation {finding.estimate:.2f}".replace("-", "−")  # noqa: RUF001 - a minus sign
    return f"{100 * finding.estimate:.0f} % of label versions"


def _format_p(p_value: float | None) -> str:
    if p_value is None:
        return NO_NUMBER
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _notes(run: Run) -> tuple[str, ...]:
    plan = make_test_plan(run)
    return (
        "The words follow from the tests, not from the paper. What is not shown may still be true: “can't tell” never "
        "means that there is no difference.",
        f"The tests are counted in the verdict's plan. So that p-values can be compared with {plan.alpha:g}, they are "
        f"multiplied by its {plan.verdicts + plan.tests} comparisons; those of label versions by "
        f"{plan.alpha / (1 - plan.confidence):.3g}, since organs have a share of these comparisons.",
        "Pre-training: networks fine-tuned from the reference labels' network against networks from scratch, by case "
        "and seed. Label versions: as “equivalent” in the verdict; the p-value is that of the least certain one. "
        "Datasets and labels: variance components. What is shown holds for these datasets and label versions; for "
        "others only if both are like draws from normal distributions, which so few can't show. Networks of a dataset "
        "share its spacing and patch size, so these are part of what a dataset is. Ranks: a one-sided permutation "
        "test.",
    )
