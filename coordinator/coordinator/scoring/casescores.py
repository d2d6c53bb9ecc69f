"""Scoring the files of one case: what a worker process does, so nothing that it does not need is imported."""

import multiprocessing
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from contract.labelmaps import refuse_unknown_ids
from contract.volumes import read_label_pair
from coordinator.scoring.metrics import OrganScore, UnknownIds, score_case
from coordinator.scoring.settings import Scoring


def score_files(reference: Path, prediction: Path, organs: Mapping[int, str], scoring: Scoring) -> list[OrganScore]:
    """Score a label map file against its reference.

    Args:
        reference: the truth.
        prediction: on the same grid.
        organs: label id -> name; the files must hold no other ids.
        scoring: what is asked.

    Returns:
        A score an organ, in the order of `organs`.

    Raises:
        CaseError: an unreadable file, ids without a name, or two grids.
    """
    truth, labels, grid = read_label_pair(reference, prediction)
    try:
        return score_case(truth, labels, grid.spacing_mm, organs, scoring)
    except UnknownIds as found:
        refuse_unknown_ids(reference, found.reference, organs)
        refuse_unknown_ids(prediction, found.prediction, organs)
        raise


def end_with_parent() -> None:
    """Let a worker process end when the one that it works for is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
