"""Scoring the files of one case. Worker processes import this module, so it imports only what they need."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contract.grids import Grid
from contract.labelmaps import LabelMap, refuse_unknown_ids
from contract.volumes import read_label_pair
from coordinator.scoring.metrics import OrganScore, UnknownIdsError, score_case
from coordinator.scoring.settings import Scoring
from coordinator.scoring.shells import OrganShells, count_shells


def score_files(reference: Path, prediction: Path, organs: Mapping[int, str], scoring: Scoring) -> list[OrganScore]:
    """Score the label map in a file against its reference.

    Args:
        reference: file of the reference labels.
        prediction: file of a label map on the same grid.
        organs: label id -> name; the files must hold no other ids.
        scoring: what to measure.

    Returns:
        One score for each organ, in the order of `organs`.

    Raises:
        CaseError: a file is unreadable or holds ids without a name, or the grids differ.
    """
    return _score_maps(read_label_pair(reference, prediction), (reference, prediction), organs, scoring)


def score_against_nothing(
    reference: Path, prediction: Path, organs: Mapping[int, str], scoring: Scoring
) -> list[OrganScore]:
    """Score an empty label map against the reference in a file; `prediction` is the file that is not there."""
    labels, _, grid = read_label_pair(reference, reference)
    return _score_maps((labels, np.zeros_like(labels), grid), (reference, prediction), organs, scoring)


def score_files_in_shells(
    reference: Path, prediction: Path, organs: Mapping[int, str], scoring: Scoring
) -> tuple[list[OrganScore], list[OrganShells]]:
    """Score the label map in a file as `score_files` does, and count the shells around each organ of the reference."""
    pair = read_label_pair(reference, prediction)
    scores = _score_maps(pair, (reference, prediction), organs, scoring)
    return scores, count_shells(pair[0], pair[1], pair[2].spacing_mm, organs)


def _score_maps(
    pair: tuple[LabelMap, LabelMap, Grid], files: tuple[Path, Path], organs: Mapping[int, str], scoring: Scoring
) -> list[OrganScore]:
    """Score a label map against its reference; `files` are named where their ids have no name."""
    reference_labels, predicted_labels, grid = pair
    try:
        return score_case(reference_labels, predicted_labels, grid.spacing_mm, organs, scoring)
    except UnknownIdsError as error:
        refuse_unknown_ids(files[0], error.reference, organs)
        refuse_unknown_ids(files[1], error.prediction, organs)
        raise
