"""Is it worth improving these labels? For each dataset, label version and organ, in-domain and as pre-training.

    gain of the reference labels over a version ──► interval, tests ──► worth it | not worth it | can't tell

    worth it        the gain is certainly above 0, at least the margin, and larger than differences between seeds
    not worth it    the gain is certainly below the margin
    can't tell      neither; with the number of held-out cases that would tell

The gain is in the network's Dice. "Certainly": by a p-value that is corrected for all comparisons of a table (Holm).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from coordinator.results.run import Run
from coordinator.results.summaries import Results, compute_results
from coordinator.statistics.gains import Cube, Gain, gain, make_cube, seed_noise
from coordinator.statistics.hypotheses import holm, p_below_margin, p_equivalent
from coordinator.statistics.intervals import FEWEST_TESTED, SeedNoise, interval, p_different
from coordinator.statistics.power import cases_needed
from coordinator.study.file import VerdictSettings
from coordinator.study.steps import BASE

WORTH_IT, NOT_WORTH_IT, CANNOT_TELL = "worth it", "not worth it", "can't tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the reference labels gain over one label version; numbers in [0, 1], None where there is none.

    Attributes:
        dataset: whose label version.
        target: the target dataset that the networks were fine-tuned on; None in-domain.
        version: the label version.
        organ: its name; None for the mean over organs.
        label_gain: 1 - Dice of the version's labels with the reference labels.
        gain: Dice of the network on the reference labels minus that of the network on the version.
        low: lower end of the gain's interval.
        high: upper end of the gain's interval.
        cases: held-out cases that both networks have.
        seeds: seeds that both networks have.
        p_gain: p-value of no gain (Holm).
        p_below: p-value of a gain of the margin or more (Holm).
        p_equivalent: p-value of a difference of the margin or more (Holm).
        floor: the largest difference that seeds alone make; None for one seed.
        outcome: "worth it", "not worth it" or "can't tell".
        needed: held-out cases that would tell; None where the outcome is clear, or no number of cases would do.
        reason: why the outcome is "can't tell", beside too few cases.
        masks: number of masks in the training cases' reference labels.
        hours: it takes to draw these masks.
    """

    dataset: str
    target: str | None
    version: str
    organ: str | None
    label_gain: float | None
    gain: float | None
    low: float | None
    high: float | None
    cases: int
    seeds: int
    p_gain: float | None
    p_below: float | None
    p_equivalent: float | None
    floor: float | None
    outcome: str
    needed: int | None
    reason: str
    masks: int | None
    hours: float | None

    @property
    def within_noise(self) -> bool:
        """Whether seeds alone make differences as large."""
        return self.floor is not None and self.gain is not None and abs(self.gain) <= self.floor

    @property
    def hours_per_point(self) -> float | None:
        """Hours of annotation for each Dice point of gain; None where there is no gain."""
        if self.hours is None or self.gain is None or self.gain <= 0:
            return None
        return self.hours / (100 * self.gain)


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
    all_findings: list[Finding] = []
    for dataset in run.datasets if not run.model_scores.is_empty() else ():
        scores = run.model_scores.filter(pl.col("dataset") == dataset.name)
        organs = {label: organ for label, organ in dataset.labels.items() if label in dataset.common}
        all_findings += _scope_findings(run, results, (dataset.name, None), scores, organs)
    for transfer in run.transfers:
        for dataset in run.datasets if not transfer.scores.is_empty() else ():
            scores = transfer.scores.filter(pl.col("dataset") == dataset.name)
            all_findings += _scope_findings(run, results, (dataset.name, transfer.target), scores, transfer.labels)
    return all_findings


def is_equivalent(finding: Finding, settings: VerdictSettings) -> bool:
    """Whether both networks are shown to differ by less than the margin."""
    return finding.p_equivalent is not None and finding.p_equivalent <= settings.alpha


def annotation_hours(masks: int, minutes_per_mask: float) -> float:
    """Hours that it takes to draw so many masks by hand."""
    return masks * minutes_per_mask / 60


def _scope_findings(
    run: Run, results: Results, scope: tuple[str, str | None], scores: pl.DataFrame, organs: Mapping[int, str]
) -> list[Finding]:
    """Findings on networks that were tested on the same cases; the scope is dataset and target."""
    if scores.is_empty() or not organs:
        return []
    all_organs = make_cube(scores, run.score.empty, list(organs))
    versions = next(d.versions for d in run.datasets if d.name == scope[0])
    scope_findings = []
    for table in ([(all_organs, None)], [(all_organs.select_organ(label), label) for label in organs]):
        cubes = [((cube, seed_noise(cube)), label) for cube, label in table]
        comparisons = [_compare(run, results, scope, (cube, label, v)) for cube, label in cubes for v in versions]
        scope_findings += _decide_table(comparisons, run.verdict)
    return scope_findings


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """A finding without its outcome, and what decides it; p-values are not corrected yet."""

    finding: Finding
    gain: Gain | None
    noise: SeedNoise | None
    p_values: tuple[float, float, float] = (1.0, 1.0, 1.0)


def _compare(
    run: Run,
    results: Results,
    scope: tuple[str, str | None],
    networks: tuple[tuple[Cube, SeedNoise | None], int | None, str],
) -> _Comparison:
    """Compare the networks on one label version, for an organ or all, with those on the reference labels."""
    (dataset, target), ((cube, noise), label, version) = scope, networks
    network_gain, margin = gain(cube, BASE, version), run.verdict.margin
    low, high = (network_gain and interval(network_gain, noise, 1 - run.verdict.alpha)) or (None, None)
    masks = _count_masks(run, dataset, label if target is None else None)
    finding = Finding(
        dataset=dataset, target=target, version=version,
        organ=None if label is None else _organ_name(run, scope, label),
        label_gain=_label_gain(results, dataset, version, label if target is None else None),
        gain=network_gain.mean if network_gain else None, low=low, high=high,
        cases=len(network_gain.cases) if network_gain else 0, seeds=network_gain.seeds if network_gain else 0,
        p_gain=None, p_below=None, p_equivalent=None,
        floor=noise.floor(network_gain.seeds) if noise and network_gain else None,
        outcome=CANNOT_TELL, needed=None, reason="", masks=masks,
        hours=None if masks is None else annotation_hours(masks, run.verdict.minutes_per_mask),
    )  # fmt: skip
    if network_gain is None:
        return _Comparison(finding, None, noise)
    p_values = (
        p_different(network_gain, noise),
        p_below_margin(network_gain, margin, noise),
        p_equivalent(network_gain, margin, noise),
    )
    return _Comparison(finding, network_gain, noise, p_values)


def _decide_table(comparisons: Sequence[_Comparison], settings: VerdictSettings) -> list[Finding]:
    """Correct p-values for all comparisons of a table, then decide each."""
    tested = [comparison for comparison in comparisons if comparison.gain is not None]
    by_test = zip(*(comparison.p_values for comparison in tested), strict=True)
    corrected = iter(list(zip(*(holm(p_values) for p_values in by_test), strict=True)))
    decided = []
    for comparison in comparisons:
        if comparison.gain is None:
            decided.append(replace(comparison.finding, reason="one of the networks has no scores"))
            continue
        p_gain, p_below, p_equivalent = next(corrected)
        finding = replace(comparison.finding, p_gain=p_gain, p_below=p_below, p_equivalent=p_equivalent)
        decided.append(_decide(finding, comparison, settings, len(tested)))
    return decided


def _decide(finding: Finding, comparison: _Comparison, settings: VerdictSettings, tests: int) -> Finding:
    """Decide a finding; its p-values are corrected for this number of tests."""
    network_gain, alpha = comparison.gain, settings.alpha
    if network_gain is None or finding.p_gain is None or finding.p_below is None:
        return finding
    if finding.p_below <= alpha:
        return replace(finding, outcome=NOT_WORTH_IT)
    if finding.p_gain <= alpha and network_gain.mean >= settings.margin and not finding.within_noise:
        return replace(finding, outcome=WORTH_IT)
    if len(network_gain.cases) < FEWEST_TESTED:
        reason = f"{len(network_gain.cases)} held-out case{'s' * (len(network_gain.cases) != 1)}"
        needed = None if len(network_gain.cases) < 2 else _needed_cases(comparison, settings, tests)
        return replace(finding, reason=reason, needed=needed)
    if finding.within_noise and finding.p_gain <= alpha:
        return replace(finding, reason="within the noise of seeds")
    needed = _needed_cases(comparison, settings, tests)
    if needed is None:
        return replace(finding, reason="more seeds are needed, not only more cases")
    certain_alone = min(comparison.p_values[:2]) <= alpha
    return replace(finding, needed=needed, reason=f"not certain among {tests} comparisons" if certain_alone else "")


def _needed_cases(comparison: _Comparison, settings: VerdictSettings, tests: int) -> int | None:
    """Cases with which a gain as large as this one, but at least the margin, would be detected in 4 of 5 studies."""
    if comparison.gain is None:
        return None
    size = max(abs(comparison.gain.mean), settings.margin)
    std = float(comparison.gain.by_case.std(ddof=1))
    least = cases_needed(std, size, settings.alpha / tests, comparison.noise, comparison.gain.seeds)
    return None if least is None else max(least, len(comparison.gain.cases) + 1)


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


def _organ_name(run: Run, scope: tuple[str, str | None], label: int) -> str:
    dataset, target = scope
    tables = [d.labels for d in run.datasets if d.name == dataset and target is None]
    return [*tables, *(t.labels for t in run.transfers if t.target == target)][0][label]


def _count_masks(run: Run, dataset_name: str, label: int | None) -> int | None:
    """Count masks of the common organs in the training cases, or of one organ; None without scores of labels."""
    dataset = next(d for d in run.datasets if d.name == dataset_name)
    if run.label_scores.is_empty() or dataset.split is None:
        return None
    masks = run.label_scores.filter(
        (pl.col("dataset") == dataset_name)
        & (pl.col("reference_voxels") > 0)
        & pl.col("case").is_in(list(dataset.split.train))
        & pl.col("label").is_in([label] if label is not None else list(dataset.common))
    )
    return masks.select("case", "label").n_unique() if masks.height else None
