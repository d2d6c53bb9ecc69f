"""Scoring two folders of label maps of the same cases: a frame with one row for each case and organ.

Where shells are asked for, a second frame comes from the same reading of the files.

Several processes score the cases. Each process holds one case, and few cases wait in the queue, so that memory does not
grow with the number of cases.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from contract.datasets import SUFFIX, case_names
from contract.errors import CaseError, UsageError
from contract.processes import count_processes, map_cases
from contract.volumes import read_header
from coordinator.scoring.casescores import score_against_nothing, score_files, score_files_in_shells
from coordinator.scoring.metrics import OrganScore
from coordinator.scoring.schema import SHELL_SCHEMA, schema
from coordinator.scoring.settings import Scoring

Pair = tuple[Path, Path]
BYTES_OF_VOXEL = 8
"""Memory of scoring, for each voxel of a case: two label maps, and what is computed from them."""
T = TypeVar("T")
Measure = Callable[[Path, Path, Mapping[int, str], Scoring], T]
"""(reference, prediction, organs, scoring) -> what is measured in the two files."""


@dataclass(frozen=True, slots=True)
class FolderScores:
    """The scores of two folders, and of which cases there are none.

    Attributes:
        frame: as `score_folders` gives it, of the cases that could be scored.
        failures: case -> why it could not be scored.
        references: how many there are.
        without_prediction: cases that only the folder of references has.
    """

    frame: pl.DataFrame
    failures: Mapping[str, str]
    references: int
    without_prediction: tuple[str, ...]


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
        CaseError: a case without a reference or prediction, an unreadable file, an id without a name, or two grids; all
            are listed.
    """
    names, pairs = _pair_files(Path(reference), Path(prediction), cases)
    measured = list(_measure_pairs(score_files, pairs, organs, scoring, _count_workers(pairs, workers)))
    return _score_frame(zip(names, _require_all(measured), strict=True), scoring)


def score_what_can_be_scored(
    folders: tuple[Path, Path],
    organs: Mapping[int, str],
    scoring: Scoring,
    excluded: Collection[str] = (),
    *,
    missing_as_empty: bool = False,
) -> FolderScores:
    """Score two folders as `score_folders` does; a case that can't be scored does not stop the others.

    Args:
        folders: of reference labels and of predictions.
        organs: label id -> name, of every id in the files.
        scoring: what to measure for each organ.
        excluded: cases that are left out.
        missing_as_empty: score each reference without a prediction against an empty label map.

    Raises:
        UsageError: one of the folders does not exist.
    """
    reference, prediction = folders
    _require_folders(*folders)
    references, predictions = ({*case_names(folder)} - {*excluded} for folder in folders)
    without = tuple(sorted(references - predictions))
    failures = {
        case: f"{prediction / f'{case}{SUFFIX}'}: prediction must have a reference of the same name, but "
        f"{reference} has none; add it, or take the prediction away"
        for case in sorted(predictions - references)
    }
    cases = sorted(references & predictions)
    pairs = [(reference / f"{case}{SUFFIX}", prediction / f"{case}{SUFFIX}") for case in cases]
    tasks: list[tuple[Measure[list[OrganScore]], list[str], list[Pair]]] = [(score_files, cases, pairs)]
    if missing_as_empty:
        alone = [(reference / f"{case}{SUFFIX}", prediction / f"{case}{SUFFIX}") for case in without]
        tasks.append((score_against_nothing, list(without), alone))
    scores: dict[str, list[OrganScore]] = {}
    for measure, names, files in tasks:
        measured = _measure_pairs(measure, files, organs, scoring, _count_workers(files, len(files)))
        for case, outcome in zip(names, measured, strict=True):
            if isinstance(outcome, CaseError):
                failures[case] = str(outcome)
            else:
                scores[case] = outcome
    frame = _score_frame(sorted(scores.items()), scoring)
    return FolderScores(frame, dict(sorted(failures.items())), len(references), without)


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
    measured = list(_measure_pairs(score_files_in_shells, pairs, organs, scoring, _count_workers(pairs, workers)))
    by_case = _require_all(measured)
    rows = [row for case, (_, found) in zip(names, by_case, strict=True) for organ in found for row in organ.rows(case)]
    scores = _score_frame(zip(names, (scores for scores, _ in by_case), strict=True), scoring)
    return scores, pl.DataFrame(rows, schema=SHELL_SCHEMA, orient="row")


def _pair_files(reference: Path, prediction: Path, asked: Sequence[str] | None) -> tuple[list[str], list[Pair]]:
    """The cases that are asked for, or those of a prediction, and the files of each.

    Raises:
        UsageError: one of the folders does not exist.
        CaseError: a case without a reference, or one that is asked for and has no prediction.
    """
    _require_folders(reference, prediction)
    present = case_names(prediction)
    cases = present if asked is None else sorted(asked)
    if lost := sorted(set(cases) - set(present)):
        raise CaseError(f"{prediction}: must hold every case that is to be scored, but lacks {', '.join(lost)}")
    missing = sorted(set(cases) - set(case_names(reference)))
    if missing:
        raise CaseError(f"{reference}: must hold the reference of every case, but lacks {', '.join(missing)}")
    return cases, [(reference / f"{case}{SUFFIX}", prediction / f"{case}{SUFFIX}") for case in cases]


def _require_folders(*folders: Path) -> None:
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: must be a folder of <case>{SUFFIX}, but is none; check the path")


def _score_frame(by_case: Iterable[tuple[str, list[OrganScore]]], scoring: Scoring) -> pl.DataFrame:
    rows = [_make_row(case, score) for case, scores in by_case for score in scores]
    return pl.DataFrame(rows, schema=schema(scoring), orient="row")


def _make_row(case: str, score: OrganScore) -> tuple[Any, ...]:
    distances = (score.distances.hd95_mm, score.distances.assd_mm) if score.distances else ()
    return (
        case, score.label, score.organ, score.dice, score.surface_dice, score.reference_voxels, score.prediction_voxels,
        score.reference_ml, score.prediction_ml, score.tolerance_mm, *score.surface_dice_also, *distances,
    )  # fmt: skip


def _count_workers(pairs: Sequence[Pair], most: int) -> int:
    """How many processes score at once: as many as asked for, as memory and cores allow."""
    if min(most, len(pairs)) <= 1:
        return 1
    return count_processes(
        BYTES_OF_VOXEL * max(_count_voxels(reference) for reference, _ in pairs), min(most, len(pairs))
    )


def _count_voxels(file: Path) -> int:
    try:
        return read_header(file).voxels
    except CaseError:
        return 0


def _require_all(measured: Iterable[T | CaseError]) -> list[T]:
    """What was measured in all cases.

    Raises:
        CaseError: some could not be measured; all are listed.
    """
    outcomes = list(measured)
    failures = [str(outcome) for outcome in outcomes if isinstance(outcome, CaseError)]
    if failures:
        counted = [f"{len(failures)} cases can't be scored:"] if len(failures) > 1 else []
        raise CaseError("\n".join([*counted, *failures]))
    return [outcome for outcome in outcomes if not isinstance(outcome, CaseError)]


def _measure_pairs(
    measure: Measure[T], pairs: Iterable[Pair], organs: Mapping[int, str], scoring: Scoring, workers: int
) -> Iterator[T | CaseError]:
    """Yield what is measured in each case, or why it can't be, in the order of `pairs`."""
    cases = ((prediction, reference) for reference, prediction in pairs)
    yield from map_cases(_Attempt(measure, dict(organs), scoring), cases, workers, "spawn")


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[T]):
    """Measures a case in a worker process; whatever goes wrong with it is its own failure."""

    measure: Measure[T]
    organs: Mapping[int, str]
    scoring: Scoring

    def __call__(self, prediction: Path, reference: Path) -> T | CaseError:
        try:
            return self.measure(reference, prediction, self.organs, self.scoring)
        except CaseError as error:
            return error
        except Exception as error:  # noqa: BLE001 - such as memory that one case alone asks for
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return CaseError(f"{prediction}: label map must be one that can be scored, but that ended in {reason}")
