"""Is it worth improving these labels? For each dataset, label version and organ, in-domain and as pre-training.

gain of the reference labels over a version, in Dice and Surface Dice
    ──► intervals over cases and seeds, at the confidence of the test plan
    ──► outcome: worth it | a gain, size open | not worth it | can't tell
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import polars as pl

from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Run
from coordinator.results.summaries import METRICS, Results, compute_results
from coordinator.statistics.comparison import Comparison, compare
from coordinator.statistics.failures import cases_to_exclude
from coordinator.statistics.gains import Cube, make_cube
from coordinator.statistics.intervals import Interval
from coordinator.statistics.power import Design, cases_needed
from coordinator.study.settings import VerdictSettings
from coordinator.verdict.outcome import (
    CANNOT_TELL,
    NOT_WORTH_IT,
    Evidence,
    Outcome,
    decide,
    price_per_point,
)
from coordinator.verdict.testplan import TestPlan, make_test_plan


@dataclass(frozen=True, slots=True)
class Finding:
    """What the reference labels gain over one label version; scores in [0, 1], None where there is none.

    Attributes:
        dataset: whose label version.
        target: the target dataset that the networks were fine-tuned on; None in-domain.
        version: the label version.
        organ: its name; None for the mean over organs.
        label_gain: 1 - Dice of the version's labels with the reference labels.
        gain: Dice of the networks on the reference labels minus that of the networks on the version.
        low: lower end of its interval.
        high: upper end of its interval.
        surface_gain: the same in Surface Dice.
        surface_low: lower end of its interval.
        surface_high: upper end of its interval.
        confidence: of these intervals; higher than 1 - alpha where there are several comparisons.
        cases: held-out cases that both networks have; those of one group, such as a patient, count once.
        seeds: networks on the version that have scores.
        base_seeds: networks on the reference labels that have scores.
        seed_std: standard deviation of one network's Dice over seeds, the larger of the two; None where it is unknown.
        seed_source: where it comes from: "measured", "measured on others" or "given"; empty where it is unknown.
        p_gain: p-value of no difference in Dice, multiplied by the number of comparisons; None without noise of seeds.
        p_equivalent: p-value of a difference in Dice of the margin or more, multiplied likewise.
        outcome: "worth it", "a gain, size open", "not worth it" or "can't tell".
        reason: what the outcome rests on, or why it is open.
        needed: held-out cases that would probably tell, if the gain is as found; None where that does not apply.
        left_out: organs that fewer than three of the cases have; they are not in the mean.
        masks: in the training cases' reference labels; None for a version made from these, which saves no drawing.
        hours: it takes to draw these masks.
        hours_low: fewest hours for each Dice point of gain; None without hours, or where there is certainly no gain.
        hours_high: most hours for each Dice point; None where there may be no gain.
    """

    dataset: str
    target: str | None
    version: str
    organ: str | None
    label_gain: float | None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    surface_gain: float | None = None
    surface_low: float | None = None
    surface_high: float | None = None
    confidence: float = 0.95
    cases: int = 0
    seeds: int = 0
    base_seeds: int = 0
    seed_std: float | None = None
    seed_source: str = ""
    p_gain: float | None = None
    p_equivalent: float | None = None
    outcome: str = CANNOT_TELL
    reason: str = ""
    needed: int | None = None
    left_out: tuple[str, ...] = ()
    masks: int | None = None
    hours: float | None = None
    hours_low: float | None = None
    hours_high: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """Networks that were tested on the same cases.

    Attributes:
        run: the run.
        results: its means.
        plan: of all tests.
        dataset: whose label versions they were trained on.
        target: the target dataset; None in-domain.
        organs: label -> organ, of all organs in the mean.
        cubes: metric -> scores.
    """

    run: Run
    results: Results
    plan: TestPlan
    dataset: str
    target: str | None
    organs: Mapping[int, str]
    cubes: Mapping[str, Cube]


def findings(run: Run, results: Results | None = None) -> list[Finding]:
    """All findings: for each dataset in-domain, then for each target; first the mean over organs, then the organs.

    Args:
        run: the run.
        results: its means and standard deviations; computed when None.

    Returns:
        One for each dataset, target, label version and organ; none where no network has scores.
    """
    if results is None:
        results = compute_results(run)
    plan = make_test_plan(run)
    places = [(None, run.model_scores, None, None), *((t.target, t.scores, t.labels, t.groups) for t in run.transfers)]
    all_findings: list[Finding] = []
    for target, scores, target_organs, groups in places:
        for dataset in run.datasets:
            dataset_scores = scores.filter(pl.col("dataset") == dataset.name)
            organs = target_organs or {label: dataset.labels[label] for label in dataset.common}
            is_planned = target is not None or bool(dataset.splits)
            if not organs or not is_planned or (scores.is_empty() and not run.failed_networks):
                continue
            together = dataset.groups if groups is None else groups
            cubes = {m: make_cube(dataset_scores, run.score.empty, list(organs), m, together) for m in METRICS}
            scope = _Scope(run, results, plan, dataset.name, target, organs, cubes)
            all_findings += [_find(scope, v, label) for label in (None, *organs) for v in dataset.versions]
    return all_findings


def is_equivalent(finding: Finding, settings: VerdictSettings) -> bool:
    """Whether the networks are shown to differ by less than the margin in Dice, with enough cases to meet a failure."""
    return (
        finding.p_equivalent is not None
        and finding.p_equivalent <= settings.alpha
        and finding.cases >= cases_to_exclude(settings.failure_rate, (1 - finding.confidence) / 2)
    )


def annotation_hours(masks: int, minutes_per_mask: float) -> float:
    """Hours that it takes to draw so many masks by hand."""
    return masks * minutes_per_mask / 60


def _find(scope: _Scope, version: str, label: int | None) -> Finding:
    """Compare the networks on one label version, for an organ or all, with those on the reference labels."""
    run, own_label = scope.run, label if scope.target is None else None
    masks = None if run.made_from_reference(version) else count_masks(run, scope.dataset, own_label)
    confidence = scope.plan.confidence if label is None else scope.plan.inner_confidence(len(scope.organs))
    finding = Finding(
        dataset=scope.dataset, target=scope.target, version=version,
        organ=None if label is None else scope.organs[label],
        label_gain=_label_gain(scope.results, scope.dataset, version, own_label),
        confidence=confidence, masks=masks,
        hours=None if masks is None else annotation_hours(masks, run.verdict.minutes_per_mask),
    )  # fmt: skip
    comparisons = {metric: found for metric in METRICS if (found := _compare(scope, metric, version, label))}
    if "dice" not in comparisons:
        return replace(finding, reason=_explain_missing(scope, version))
    intervals = {metric: ends for metric, c in comparisons.items() if (ends := c.interval(confidence))}
    finding = _fill(scope, finding, comparisons, intervals)
    return _judge(scope, finding, comparisons, intervals)


def _compare(scope: _Scope, metric: str, version: str, label: int | None) -> Comparison | None:
    cube = scope.cubes[metric] if label is None else scope.cubes[metric].select_organ(label)
    # What the study file gives is the noise of the mean Dice over organs, not that of another number.
    given = scope.run.verdict.seed_std if label is None and metric == "dice" else None
    return compare(cube, scope.run.reference, version, given)


def _fill(
    scope: _Scope, finding: Finding, comparisons: Mapping[str, Comparison], intervals: Mapping[str, Interval]
) -> Finding:
    """Add the numbers of both metrics."""
    dice, tests = comparisons["dice"], scope.plan.alpha / (1 - finding.confidence)
    seeds = {
        version: scope.cubes["dice"].networks(version).shape[1] for version in (scope.run.reference, finding.version)
    }
    finding = replace(
        finding,
        gain=dice.gain.mean,
        cases=len(dice.gain.cases), seeds=seeds[finding.version], base_seeds=seeds[scope.run.reference],
        left_out=tuple(scope.organs[label] for label in dice.gain.left_out),
    )  # fmt: skip
    if dice.seeds:
        finding = replace(
            finding, seed_std=dice.seeds.networks, seed_source=dice.seeds.source,
            p_gain=min(1.0, tests * dice.p_different()),
            p_equivalent=min(1.0, tests * dice.p_equivalent(scope.run.verdict.margin)),
        )  # fmt: skip
    if ends := intervals.get("dice"):
        finding = replace(finding, low=ends.low, high=ends.high)
        if price := price_per_point(finding.hours, ends):
            finding = replace(finding, hours_low=price.low, hours_high=price.high if ends.low > 0 else None)
    if surface := comparisons.get("surface_dice"):
        finding = replace(finding, surface_gain=surface.gain.mean)
    if ends := intervals.get("surface_dice"):
        finding = replace(finding, surface_low=ends.low, surface_high=ends.high)
    return finding


def _judge(
    scope: _Scope, finding: Finding, comparisons: Mapping[str, Comparison], intervals: Mapping[str, Interval]
) -> Finding:
    """Add the outcome; where it is open, add how many cases would probably tell."""
    dice = comparisons["dice"]
    # Without the noise of its own seeds, a metric has no say beside one that has it.
    judged = {m: ends for m, ends in intervals.items() if comparisons[m].seeds or not dice.seeds}
    evidence = Evidence(judged, finding.cases, finding.seed_source, finding.hours, (1 - finding.confidence) / 2)
    outcome = _mention_failed(scope, finding.version, decide(evidence, scope.run.verdict))
    finding = replace(finding, outcome=outcome.outcome, reason=outcome.reason)
    if outcome.outcome != CANNOT_TELL or dice.seeds is None or finding.cases < 2:
        return finding
    needed = _needed_cases(scope, finding, comparisons)
    if needed is None and not finding.reason:
        return replace(finding, reason="more seeds are needed, not only more cases")
    return replace(finding, needed=needed)


def _mention_failed(scope: _Scope, version: str, outcome: Outcome) -> Outcome:
    """Name failed networks; where more of the version's failed than of base's, the version is not called as good."""
    failed = {name: _count_failed(scope, name) for name in (scope.run.reference, version)}
    if not any(failed.values()):
        return outcome
    names = [f"{count} network{'s' * (count > 1)} on {name} failed" for name, count in failed.items() if count]
    reason = "; ".join([*([outcome.reason] if outcome.reason else []), " and ".join(names)])
    withheld = outcome.outcome == NOT_WORTH_IT and failed[version] > failed[scope.run.reference]
    return Outcome(CANNOT_TELL if withheld else outcome.outcome, reason)


def _count_failed(scope: _Scope, version: str) -> int:
    return count_failed(scope.run.failed_networks, scope.target).get((scope.dataset, version), 0)


def _needed_cases(scope: _Scope, finding: Finding, comparisons: Mapping[str, Comparison]) -> int | None:
    """Cases with which four of five studies would come to an outcome, if the gains are as large as found."""
    settings, margins = scope.run.verdict, scope.run.verdict.margins
    for_gain: list[int | None] = []
    for_none: list[int | None] = [cases_to_exclude(settings.failure_rate, (1 - finding.confidence) / 2)]
    for metric, comparison in comparisons.items():
        found = comparison.gain.mean
        std = float(comparison.gain.by_case.std(ddof=1))
        design = Design(std, finding.cases, finding.confidence, comparison.seeds)
        for_gain.append(cases_needed(design, found) if found > 0 else None)
        for_none.append(cases_needed(design, margins[metric] - found) if found < margins[metric] else None)
    enough = [cases for cases in for_gain if cases is not None]
    if len(comparisons) == len(margins) and None not in for_none:
        enough.append(max(cases for cases in for_none if cases is not None))
    return max(min(enough), finding.cases + 1) if enough else None


def _explain_missing(scope: _Scope, version: str) -> str:
    """Say why two networks can't be compared."""
    reasons = []
    for name in (scope.run.reference, version):
        if name not in scope.cubes["dice"].versions:
            failed = _count_failed(scope, name)
            reasons.append(f"every network on {name} failed" if failed else f"no network on {name} has scores")
    return "; ".join(reasons) or "the networks share no case and organ that count"


def _label_gain(results: Results, dataset: str, version: str, label: int | None) -> float | None:
    if label is None:
        score = results.labels(dataset, version)
        return None if score is None else 1 - score.dice
    if results.label_organs.is_empty():
        return None
    row = results.label_organs.filter(
        (pl.col("dataset") == dataset) & (pl.col("version") == version) & (pl.col("label") == label)
    )["dice"].drop_nulls()
    return None if row.is_empty() else 1 - float(row[0])


def count_masks(run: Run, dataset_name: str, label: int | None, cases: Collection[str] | None = None) -> int | None:
    """Count masks of the common organs in the reference labels; None without scores of labels.

    Args:
        run: the run.
        dataset_name: whose masks.
        label: of the only organ that counts; None for all common ones.
        cases: those that count; None for the training cases.
    """
    dataset = next(d for d in run.datasets if d.name == dataset_name)
    if run.label_scores.is_empty() or not dataset.splits:
        return None
    masks = run.label_scores.filter(
        (pl.col("dataset") == dataset_name)
        & (pl.col("reference_voxels") > 0)
        & pl.col("case").is_in(list(dataset.trained if cases is None else cases))
        & pl.col("label").is_in([label] if label is not None else list(dataset.common))
    )
    return masks.select("case", "label").n_unique() if masks.height else None
