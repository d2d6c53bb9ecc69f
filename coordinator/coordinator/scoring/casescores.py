"""Scoring the files of one case. Worker processes import this module, so it imports only what they need."""

import multiprocessing
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from contract.labelmaps import refuse_unknown_ids
from contract.volumes import read_label_pair
from coordinator.scoring.metrics import OrganScore, UnknownIdsError, score_case
from coordinator.scoring.settings import Scoring


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
    reference_labels, predicted_labels, grid = read_label_pair(reference, prediction)
    try:
        return score_case(reference_labels, predicted_labels, grid.spacing_mm, organs, scoring)
    except UnknownIdsError as error:
        refuse_unknown_ids(reference, error.reference, organs)
        refuse_unknown_ids(prediction, error.prediction, organs)
        raise


def end_with_parent() -> None:
    """End this worker process when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
