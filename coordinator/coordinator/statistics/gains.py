"""The gain of one network over another, paired by case: both are tested on the same images.

scores ──► cube (version, case, seed, organ) ──► one gain for each case ──► intervals

Cases of one group, such as scans of one patient, are one observation: the mean of their scores. In folds, the networks
of any two share most of their training cases, and each case trains networks that others test. So the variance of a gain
over cases counts 1 + k / (k - 1) times with k folds (Nadeau & Bengio 2003, for k folds), which
`tests/benchmarks/calibration.py` checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coordinator.scoring import conventions

Floats = NDArray[np.float64]

FEWEST_CASES = 3
"""An organ that fewer cases have leaves the mean over organs: one or two cases say nothing about its spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Scores of all networks on a dataset's held-out cases.

    Attributes:
        versions: label versions that the networks were trained on; first axis of `scores`.
        cases: second axis; names of groups, where cases belong to some.
        seeds: third axis.
        labels: fourth axis.
        scores: (versions, cases, seeds, labels); NaN where a score is missing or dropped by the convention.
        folds: of each case, the fold whose networks it tests; none where there is one split.
    """

    versions: tuple[str, ...]
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[int, ...]
    scores: Floats
    folds: tuple[int, ...] = ()

    def select_organ(self, label: int) -> "Cube":
        """The scores of one organ."""
        index = self.labels.index(label)
        return replace(self, labels=(label,), scores=self.scores[..., index : index + 1])

    def without(self, labels: tuple[int, ...]) -> "Cube":
        """The scores of all organs but these; this very cube for none, so that what is known of it is kept."""
        if not labels:
            return self
        kept = [index for index, label in enumerate(self.labels) if label not in labels]
        names = tuple(self.labels[index] for index in kept)
        return replace(self, labels=names, scores=self.scores[..., kept])

    def networks(self, version: str) -> Floats:
        """(cases, seeds, labels) scores of a version's networks, of the seeds that have any."""
        scores: Floats = self.scores[self.versions.index(version)]
        scored: Floats = scores[:, np.isfinite(scores).any(axis=(0, 2))]
        return scored


@dataclass(frozen=True, slots=True, eq=False)
class Gain:
    """How much better the networks on one label version are than those on another.

    Attributes:
        by_case: (cases,) gains. Their mean is the gain, and their variance divided by the number of cases is the
            gain's variance over cases; see `mean_over_organs`.
        cases: names of the cases.
        freedom: degrees of freedom of that variance: cases - 1 where every case has every organ, less otherwise.
        left_out: labels that fewer than `FEWEST_CASES` cases have; they are not in the mean.
    """

    by_case: Floats
    cases: tuple[str, ...]
    freedom: float
    left_out: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """The mean gain: the difference of the two means of organ means (eq. 4)."""
        return float(self.by_case.mean())


@dataclass(frozen=True, slots=True, eq=False)
class OrganMean:
    """A mean of organ means, with what each case contributes to its error.

    Attributes:
        by_case: (..., cases) values whose mean is the mean of organ means, and whose variance is that of a case.
        freedom: degrees of freedom of their variance.
    """

    by_case: Floats
    freedom: float


def make_cube(
    frame: pl.DataFrame,
    convention: str,
    labels: Sequence[int],
    metric: str = "dice",
    groups: Mapping[str, str] | None = None,
) -> Cube:
    """Arrange one dataset's scores in an array.

    Args:
        frame: raw scores of one dataset's networks, with `version`, `seed`, `case`, `label`; with folds, `fold`.
        convention: name of the scoring convention.
        labels: ids of the organs to include.
        metric: dice or surface_dice.
        groups: case -> its group, such as its patient, for cases that have one; see `merge_groups`.

    Returns:
        All label versions, cases and seeds of the frame, sorted.
    """
    counted = conventions.apply(convention, frame).filter(pl.col("label").is_in(list(labels)))
    axes = {
        "version": sorted(frame["version"].unique()),
        "case": sorted(frame["case"].unique()),
        "seed": sorted(frame["seed"].unique()),
        "label": list(labels),
    }
    scores = np.full([len(values) for values in axes.values()], np.nan)
    indices = [[values.index(value) for value in counted[name]] for name, values in axes.items()]
    scores[tuple(indices)] = counted[metric].to_numpy()
    folds = dict(frame.select("case", "fold").unique().iter_rows()) if "fold" in frame.columns else {}
    of_cases = tuple(folds[case] for case in axes["case"]) if len(set(folds.values())) > 1 else ()
    cube = Cube(
        tuple(axes["version"]), tuple(axes["case"]), tuple(axes["seed"]), tuple(labels), scores, of_cases
    )  # fmt: skip
    return merge_groups(cube, groups or {})


def merge_groups(cube: Cube, groups: Mapping[str, str]) -> Cube:
    """Make one case of the cases of each group, by the mean of their scores; a group lies in one fold.

    Args:
        cube: of single cases.
        groups: case -> its group; cases without one stay alone.
    """
    places: dict[str, list[int]] = {}
    for place, case in enumerate(cube.cases):
        places.setdefault(groups.get(case, case), []).append(place)
    if len(places) == len(cube.cases):
        return cube
    means = [finite_mean(cube.scores[:, members], axis=1) for members in places.values()]
    folds = tuple(cube.folds[members[0]] for members in places.values()) if cube.folds else ()
    return replace(cube, cases=tuple(places), scores=np.stack(means, axis=1), folds=folds)


def gain(cube: Cube, better: str, worse: str) -> Gain | None:
    """The gain of the networks on one version over those on another; None where they share no case and organ.

    Each version's scores are means over its own seeds, which need not be the same. Its organ means are over the cases
    in which the organ counts: one that only one of the two predicts may count for that one alone. Cases that one of
    the two lacks altogether are left out of both.
    """
    if better not in cube.versions or worse not in cube.versions:
        return None
    tables = [finite_mean(cube.networks(version), axis=1) for version in (better, worse)]
    present = [np.isfinite(table) for table in tables]
    rows = np.flatnonzero(present[0].any(axis=1) & present[1].any(axis=1))
    tables, present = [table[rows] for table in tables], [one[rows] for one in present]
    counted = count_organs(present[0]) & count_organs(present[1])
    if not counted.any():
        return None
    means = [mean_over_organs(np.where(counted, table, np.nan)) for table in tables]
    left_out = (present[0] | present[1]).any(axis=0) & ~counted
    by_case = means[0].by_case - means[1].by_case
    factor = fold_factor(len({cube.folds[i] for i in rows}) if cube.folds else 1)
    return Gain(
        by_case=by_case.mean() + factor**0.5 * (by_case - by_case.mean()),
        cases=tuple(cube.cases[i] for i in rows),
        freedom=min(mean.freedom for mean in means),
        left_out=tuple(label for label, out in zip(cube.labels, left_out, strict=True) if out),
    )


def fold_factor(folds: int) -> float:
    """How much more the variance over cases counts where these are held out in folds; 1 for a single split."""
    return 1 + folds / (folds - 1) if folds > 1 else 1.0


def count_organs(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(organs,) whether enough cases have an organ, of a table (cases, organs) that says which case has which."""
    fewest = min(FEWEST_CASES, int(present.any(axis=1).sum()))
    counts = present.sum(axis=0)
    return np.asarray((counts >= fewest) & (counts > 0))


def mean_over_organs(table: Floats) -> OrganMean:
    """The mean of organ means of a table with gaps, and the error that cases give it.

    A case stands in several organ means, and an organ that few cases have weighs as much as any other. So the variance
    is the cluster-robust CR2 of the regression on organs, with cases as clusters, and its degrees of freedom are those
    of Bell and McCaffrey (2002), for equal and independent errors. Without gaps these are Student's s² / n and n - 1.

    Args:
        table: (..., cases, organs), NaN in gaps, which are the same along all axes but the last two. A case without any
            organ adds no error.
    """
    present = np.isfinite(table.reshape(-1, *table.shape[-2:])[0])
    columns = np.flatnonzero(present.any(axis=0))
    present = present[:, columns]
    values = np.where(present, table[..., columns], 0.0)
    counts, cases = present.sum(axis=0), len(present)
    means = values.sum(axis=-2) / counts
    # What each case adds to the error; an organ that one case has adds none.
    weights = np.where(present, 1 / (len(columns) * np.sqrt(counts * np.maximum(counts - 1, 1))), 0.0)
    errors = ((values - means[..., None, :]) * weights).sum(axis=-1)
    by_case = means.mean(axis=-1)[..., None] + np.sqrt(cases * max(cases - 1, 1)) * errors
    is_full = present[present.any(axis=1)].all()
    freedom = float(max(present.any(axis=1).sum() - 1, 1)) if is_full else _freedom(weights, counts)
    return OrganMean(by_case, freedom)


def finite_mean(values: Floats, axis: int) -> Floats:
    """The mean along an axis without NaN; NaN where all values are NaN."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    total = np.where(finite, values, 0.0).sum(axis=axis)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _freedom(weights: Floats, counts: NDArray[np.intp]) -> float:
    """Degrees of freedom of the sum of squared errors: (trace of M)² / trace of M², M their covariance matrix."""
    products = weights @ (weights / counts).T
    covariance = np.diag((weights**2).sum(axis=1)) - products
    trace = float(np.trace(covariance))
    return trace**2 / float((covariance**2).sum()) if trace > 0 else float(max(len(weights) - 1, 1))
