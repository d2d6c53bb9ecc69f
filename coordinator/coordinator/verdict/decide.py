"""Is it worth improving these labels? For each dataset, label version and organ, in-domain and for transfer.

gain of the original labels over a version ──► interval, tests ──► worth it | not worth it | can't tell

worth it        the gain is certainly above 0, at least the margin, and more than seeds alone make
not worth it    the gain is certainly below the margin
can't tell      neither; with the number of held-out cases that would tell

"Certainly": P-values are corrected for all comparisons of a table (Holm). The gain is in Dice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from coordinator.results.run import Run
from coordinator.results.summaries import Results, compute
from coordinator.statistics.gains import Cube, Gain, gain, make_cube, seed_noise
from coordinator.statistics.hypotheses import holm, p_below_margin, p_equivalent
from coordinator.statistics.intervals import FEWEST_TESTED, SeedNoise, interval, p_different
from coordinator.statistics.power import cases_needed
from coordinator.study.file import Verdict
from coordinator.study.steps import BASE

WORTH, NOT_WORTH, OPEN = "worth it", "not worth it", "can't tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the original labels bought over one label version; numbers in [0, 1], None where they can't be had.

    Attributes:
        dataset: whose label version.
        target: what the networks were fine-tuned on; None in-domain.
        version: the label version.
        organ: its name; None for the mean over organs.
        label_gain: 1 - Dice of the version's labels with the original ones.
        gain: of the network on the original labels over that on the version.
        low: lower end of the gain's interval.
        high: its upper end.
        cases: held-out cases that both networks have.
        seeds: that both networks have.
        p_gain: of no gain; Holm.
        p_below: of a gain of the margin or more; Holm.
        p_equivalent: of a difference of the margin or more; Holm.
        floor: the largest difference that seeds alone make; None for one seed.
        outcome: one of the three.
        needed: cases that would tell; None where this can't be said, or is not asked.
        reason: why it can't be told, beyond too few cases.
        masks: that were drawn to have the original labels of the training cases.
        hours: that these take.
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
        """Hours of annotation for each Dice point that they bought; None where they bought none."""
        if self.hours is None or self.gain is None or self.gain <= 0:
            return None
        return self.hours / (100 * self.gain)


def findings(run: Run, results: Results | None = None) -> list[Finding]:
    """All findings: for each dataset in-domain, then for each target; first the mean over organs, then the organs.

    Args:
        run: the run.
        results: its means and standard deviations; computed when None.

    Returns:
        A finding a dataset, target, label version and organ; none where no network has scores.
    """
    if results is None:
        results = compute(run)
    found: list[Finding] = []
    for dataset in run.datasets if not run.model_scores.is_empty() else ():
        mine = run.model_scores.filter(pl.col("dataset") == dataset.name)
        organs = {label: organ for label, organ in dataset.labels.items() if label in dataset.common}
        found += _scope(run, results, (dataset.name, None), mine, organs)
    for transfer in run.transfers:
        for dataset in run.datasets if not transfer.scores.is_empty() else ():
            mine = transfer.scores.filter(pl.col("dataset") == dataset.name)
            found += _scope(run, results, (dataset.name, transfer.target), mine, transfer.labels)
    return found


def annotation_hours(masks: int, minutes_per_mask: float) -> float:
    """Hours that it takes to draw so many masks by hand."""
    return masks * minutes_per_mask / 60


def _scope(
    run: Run, results: Results, where: tuple[str, str | None], scores: pl.DataFrame, organs: Mapping[int, str]
) -> list[Finding]:
    """Findings of networks that were tested on the same cases."""
    if scores.is_empty() or not organs:
        return []
    cube = make_cube(scores, run.score.empty, list(organs))
    versions = next(d.versions for d in run.datasets if d.name == where[0])
    found = []
    for parts in ([(cube, None)], [(cube.only(label), label) for label in organs]):
        measured = [((part, seed_noise(part)), label) for part, label in parts]
        raw = [_raw(run, results, where, (pair, label, v)) for pair, label in measured for v in versions]
        found += _decided(raw, run.verdict)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Raw:
    """A finding before it is decided, and what decides it."""

    finding: Finding
    gain: Gain | None
    noise: SeedNoise | None
    p_values: tuple[float, float, float] = (1.0, 1.0, 1.0)


def _raw(
    run: Run,
    results: Results,
    where: tuple[str, str | None],
    what: tuple[tuple[Cube, SeedNoise | None], int | None, str],
) -> _Raw:
    (dataset, target), ((cube, noise), label, version) = where, what
    bought, margin = gain(cube, BASE, version), run.verdict.margin
    between = interval(bought, noise, 1 - run.verdict.alpha) if bought else None
    masks = _masks(run, dataset, label if target is None else None)
    finding = Finding(
        dataset=dataset, target=target, version=version, organ=None if label is None else _organ(run, where, label),
        label_gain=_label_gain(results, dataset, version, label if target is None else None),
        gain=bought.mean if bought else None,
        low=between[0] if between else None, high=between[1] if between else None,
        cases=len(bought.cases) if bought else 0, seeds=bought.seeds if bought else 0,
        p_gain=None, p_below=None, p_equivalent=None,
        floor=noise.floor(bought.seeds) if noise and bought else None,
        outcome=OPEN, needed=None, reason="", masks=masks,
        hours=None if masks is None else annotation_hours(masks, run.verdict.minutes_per_mask),
    )  # fmt: skip
    if bought is None:
        return _Raw(finding, None, noise)
    p_values = (
        p_different(bought, noise),
        p_below_margin(bought, margin, noise),
        p_equivalent(bought, margin, noise),
    )
    return _Raw(finding, bought, noise, p_values)


def _decided(raw: Sequence[_Raw], settings: Verdict) -> list[Finding]:
    """P-values corrected for all comparisons of the table, then the outcome of each."""
    tested = [one for one in raw if one.gain is not None]
    corrected = iter(list(zip(*(holm(ps) for ps in zip(*(one.p_values for one in tested), strict=True)), strict=True)))
    found = []
    for one in raw:
        if one.gain is None:
            found.append(replace(one.finding, reason="one of the networks has no scores"))
            continue
        p_gain, p_below, p_equivalent = next(corrected)
        finding = replace(one.finding, p_gain=p_gain, p_below=p_below, p_equivalent=p_equivalent)
        found.append(_outcome(finding, one, settings, len(tested)))
    return found


def _outcome(finding: Finding, raw: _Raw, settings: Verdict, comparisons: int) -> Finding:
    bought, alpha = raw.gain, settings.alpha
    if bought is None or finding.p_gain is None or finding.p_below is None:
        return finding
    if finding.p_below <= alpha:
        return replace(finding, outcome=NOT_WORTH)
    if finding.p_gain <= alpha and bought.mean >= settings.margin and not finding.within_noise:
        return replace(finding, outcome=WORTH)
    if len(bought.cases) < FEWEST_TESTED:
        reason = f"{len(bought.cases)} held-out case{'s' * (len(bought.cases) != 1)}"
        needed = None if len(bought.cases) < 2 else _needed(raw, settings, comparisons)
        return replace(finding, reason=reason, needed=needed)
    if finding.within_noise and finding.p_gain <= alpha:
        return replace(finding, reason="within the noise of seeds")
    needed = _needed(raw, settings, comparisons)
    if needed is None:
        return replace(finding, reason="more seeds are needed, not only more cases")
    alone = f"not certain among {comparisons} comparisons" if min(raw.p_values[:2]) <= alpha else ""
    return replace(finding, needed=needed, reason=alone)


def _needed(raw: _Raw, settings: Verdict, comparisons: int) -> int | None:
    """Cases with which a gain as large as this one, but at least the margin, would be detected in 4 of 5 studies."""
    if raw.gain is None:
        return None
    wanted = max(abs(raw.gain.mean), settings.margin)
    std = float(raw.gain.by_case.std(ddof=1))
    least = cases_needed(std, wanted, settings.alpha / comparisons, raw.noise, raw.gain.seeds)
    return None if least is None else max(least, len(raw.gain.cases) + 1)


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


def _organ(run: Run, where: tuple[str, str | None], label: int) -> str:
    dataset, target = where
    tables = [d.labels for d in run.datasets if d.name == dataset and target is None]
    return [*tables, *(t.labels for t in run.transfers if t.target == target)][0][label]


def _masks(run: Run, dataset: str, label: int | None) -> int | None:
    """Masks of the common organs in the training cases, or of one organ; None where no label version was scored."""
    about = next(d for d in run.datasets if d.name == dataset)
    if run.label_scores.is_empty() or about.split is None:
        return None
    drawn = run.label_scores.filter(
        (pl.col("dataset") == dataset)
        & (pl.col("reference_voxels") > 0)
        & pl.col("case").is_in(list(about.split.train))
        & pl.col("label").is_in([label] if label is not None else list(about.common))
    )
    return drawn.select("case", "label").n_unique() if drawn.height else None
