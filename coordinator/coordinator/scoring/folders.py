"""Scoring two folders of label maps of the same cases: a frame with one row for each case and organ.

Where shells are asked for, a second frame comes from the same reading of the files.

Several processes score the cases. Each process holds one case, and few cases wait in the queue, so that memory does not
grow with the number of cases.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from contract.datasets import SUFFIX, case_names
from contract.errors import CaseError, UsageError
from coordinator.scoring.casescores import end_with_parent, score_files, score_files_in_shells
from coordinator.scoring.metrics import OrganScore
from coordinator.scoring.schema import SHELL_SCHEMA, schema
from coordinator.scoring.settings import Scoring

Pair = tuple[Path, Path]
T = TypeVar("T")
Measure = Callable[[Path, Path, Mapping[int, str], Scoring], T]
"""(reference, prediction, organs, scoring) -> what is measured in the two files."""


def score_folders(
    reference: Path | str,
    prediction: Path | str,
    organs: Mapping[int, str],
    scoring: Scoring = Scoring(),  # noqa: B008 - it is frozen
    workers: int = 1,
    cases: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Score every case of a folder against the same case of another.

    Args:
        reference: folder of reference labels, `<case>.nii.gz`. Cases that only this folder has are not scored.
        prediction: folder of `<case>.nii.gz`; each case must also be in `reference`.
        organs: label id -> name, of every id in the files.
        scoring: what to measure for each organ.
        workers: number of processes; it does not change the frame.
        cases: those to score, which must all be there; None for those that `prediction` has.

    Returns:
        One row for each case and organ, sorted by both; none where `prediction` has no case. Columns: case, label,
        organ, dice and surface_dice in [0, 1], reference_voxels, prediction_voxels, reference_ml, prediction_ml,
        tolerance_mm; then what `scoring` asks for: surface_dice_<tolerance>mm, hd95_mm, assd_mm. Values are raw, NaN
        where undefined: `coordinator.statistics.organ_table` applies a convention.

    Raises:
        UsageError: one of the folders does not exist.
        CaseError: a case without a reference or prediction, an unreadable file, an id without a name, or two grids.
    """
    names, pairs = _pair_files(Path(reference), Path(prediction), cases)
    by_case = _measure_pairs(score_files, pairs, organs, scoring, min(workers, len(names)))
    return _score_frame(zip(names, by_case, strict=True), scoring)


def score_folders_in_shells(
    reference: Path | str,
    prediction: Path | str,
    organs: Mapping[int, str],
    scoring: Scoring,
    workers: int = 1,
    cases: Sequence[str] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score two folders as `score_folders` does, and count the shells around each organ.

    Returns:
        The frame of `score_folders`; then one of `coordinator.scoring.schema.SHELL_SCHEMA`, with a row for each case,
        organ of its reference and shell.
    """
    names, pairs = _pair_files(Path(reference), Path(prediction), cases)
    by_case = list(_measure_pairs(score_files_in_shells, pairs, organs, scoring, min(workers, len(names))))
    rows = [row for case, (_, found) in zip(names, by_case, strict=True) for organ in found for row in organ.rows(case)]
    scores = _score_frame(zip(names, (scores for scores, _ in by_case), strict=True), scoring)
    return scores, pl.DataFrame(rows, schema=SHELL_SCHEMA, orient="row")


def _pair_files(reference: Path, prediction: Path, asked: Sequence[str] | None) -> tuple[list[str], Iterator[Pair]]:
    """The cases that are asked for, or those of a prediction, and the files of each.

    Raises:
        UsageError: one of the folders does not exist.
        CaseError: a case without a reference, or one that is asked for and has no prediction.
    """
    for folder in (reference, prediction):
        if not folder.is_dir():
            raise UsageError(f"{folder}: must be a folder of <case>{SUFFIX}, but is none; check the path")
    present = case_names(prediction)
    cases = present if asked is None else sorted(asked)
    if lost := sorted(set(cases) - set(present)):
        raise CaseError(f"{prediction}: must hold every case that is to be scored, but lacks {', '.join(lost)}")
    missing = sorted(set(cases) - set(case_names(reference)))
    if missing:
        raise CaseError(f"{reference}: must hold the reference of every case, but lacks {', '.join(missing)}")
    return cases, ((reference / f"{case}{SUFFIX}", prediction / f"{case}{SUFFIX}") for case in cases)


def _score_frame(by_case: Iterable[tuple[str, list[OrganScore]]], scoring: Scoring) -> pl.DataFrame:
    rows = [_make_row(case, score) for case, scores in by_case for score in scores]
    return pl.DataFrame(rows, schema=schema(scoring), orient="row")


def _make_row(case: str, score: OrganScore) -> tuple[Any, ...]:
    distances = (score.distances.hd95_mm, score.distances.assd_mm) if score.distances else ()
    return (
        case, score.label, score.organ, score.dice, score.surface_dice, score.reference_voxels, score.prediction_voxels,
        score.reference_ml, score.prediction_ml, score.tolerance_mm, *score.surface_dice_also, *distances,
    )  # fmt: skip


def _measure_pairs(
    measure: Measure[T], pairs: Iterable[Pair], organs: Mapping[int, str], scoring: Scoring, workers: int
) -> Iterator[T]:
    """Yield what is measured in each case, in the order of `pairs`."""
    if workers <= 1:
        yield from (measure(*pair, organs, scoring) for pair in pairs)
        return
    # Not forked: polars has started threads, and a forked copy would hold their locks for ever.
    spawn = multiprocessing.get_context("spawn")
    pending: deque[Future[T]] = deque()
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=end_with_parent) as pool:
        for pair in pairs:
            pending.append(pool.submit(measure, *pair, organs, scoring))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
