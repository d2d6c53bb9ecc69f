"""How far each label version agrees with what the others agree on: a measure that needs no reference.

For each organ, the others' consensus is what more than half of them mark, of those that can have the organ at all. All
versions count alike, also the reference. Versions that share an error agree on it, so agreement is no correctness.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contract.datasets import SUFFIX
from contract.errors import CaseError
from contract.labelmaps import LabelMap
from contract.processes import count_processes, map_cases
from contract.volumes import read_grid, read_header, read_labels
from coordinator.scoring.schema import AGREEMENT_SCHEMA

BYTES_OF_VOXEL = 6
"""Memory for each voxel of a case beside the label maps."""
FEWEST = 3
"""Versions: with two, each would be compared with the other alone."""


def compare_with_others(
    folders: Mapping[str, Path],
    known: Mapping[str, Collection[int]],
    organs: Mapping[int, str],
    cases: Sequence[str],
    workers: int = 1,
) -> pl.DataFrame:
    """Compare each label version with the consensus of the others, case by case and organ by organ.

    Args:
        folders: label version -> folder of its label maps.
        known: label version -> the ids that it can have.
        organs: label id -> name.
        cases: those to compare; versions that lack one are left out of it.
        workers: number of processes; it does not change the frame.

    Returns:
        One row for each case, organ and version that can have it, where at least two others can: the columns of
        `AGREEMENT_SCHEMA`. Dice is NaN where neither the version nor the consensus has the organ.

    Raises:
        CaseError: a label map that can't be read.
    """
    if cases and workers > 1:
        workers = min(workers, count_processes(max(_announced_bytes(folders, case) for case in cases), len(cases)))
    tasks = [(case, folders, known, tuple(organs)) for case in cases]
    rows: list[tuple[str, int, str, str, float]] = []
    for case, found in zip(cases, map_cases(_compare_case, tasks, workers, "forkserver"), strict=True):
        if isinstance(found, CaseError):
            raise found
        rows += [(case, label, organs[label], version, dice) for label, version, dice in found]
    return pl.DataFrame(rows, AGREEMENT_SCHEMA, orient="row")


def find_agreement(
    maps: Mapping[str, LabelMap], known: Mapping[str, Collection[int]], ids: Collection[int]
) -> Iterator[tuple[int, str, float]]:
    """Dice of each version with the consensus of the others.

    Args:
        maps: label version -> (X, Y, Z) label map of one image.
        known: label version -> the ids that it can have.
        ids: of the organs.

    Yields:
        Label id, version, Dice in [0, 1], NaN where both are empty; only of versions with at least two others.
    """
    for label in sorted(ids):
        voters = [version for version in maps if label in known[version]]
        if len(voters) < FEWEST:
            continue
        votes = np.zeros(maps[voters[0]].shape, np.uint16)
        for version in voters:
            votes += maps[version] == label
        for version in voters:
            mask = maps[version] == label
            yield label, version, _dice(mask, votes - mask > (len(voters) - 1) // 2)


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    voxels = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / voxels if voxels else float("nan")


def _announced_bytes(folders: Mapping[str, Path], case: str) -> int:
    """Memory that a case takes: a label map of each version, and what is counted in them."""
    files = [file for folder in folders.values() if (file := folder / f"{case}{SUFFIX}").exists()]
    return (len(files) + BYTES_OF_VOXEL) * read_header(files[0]).voxels if files else 0


def _compare_case(
    case: str, folders: Mapping[str, Path], known: Mapping[str, Collection[int]], ids: Collection[int]
) -> list[tuple[int, str, float]] | CaseError:
    files = {v: folder / f"{case}{SUFFIX}" for v, folder in folders.items() if (folder / f"{case}{SUFFIX}").exists()}
    if len(files) < FEWEST:
        return []
    try:
        grid = read_grid(next(iter(files.values())))
        return list(find_agreement({v: read_labels(file, grid) for v, file in files.items()}, known, ids))
    except CaseError as error:
        return error
