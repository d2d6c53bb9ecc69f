"""Step `prepare-labels`: image store + label version -> label store."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import Context, atomic
from contract.datasets import SUFFIX
from contract.errors import CaseError, UsageError
from contract.volumes import read_labels
from dynunet_trainer.casefiles import file_digest, make_cases, raise_problems, remove_other_cases, write_array
from dynunet_trainer.resample import resample_labels
from dynunet_trainer.store import CHANNELS, FOREGROUND, MISSING, Store, open_store, write_bricks, write_sizes

LOCATIONS = 10_000
"""Foreground voxels of a channel that are remembered for sampling, as in nnU-Net."""
MOST_LABELS = 255


def prepare_labels(context: Context) -> None:
    """Put one label version on the voxels of the image store.

    Raises:
        UsageError: more labels than a uint8 holds.
        CaseError: labels that are missing, cannot be read, or lie on another grid; all are listed.
    """
    store, version = open_store(context.input_folder("store")), context.input_folder("labels")
    organs = context.dataset.labels
    if not 0 < len(organs) <= MOST_LABELS:
        raise UsageError(f"{context.dataset.folder}: must have 1 to {MOST_LABELS} labels, but has {len(organs)}")
    cases, missing = _labelled_cases(context, store, version)
    foreground = context.folder / FOREGROUND
    foreground.mkdir(exist_ok=True)
    for folder in (context.folder, foreground):
        remove_other_cases(folder, cases)

    def describe_source(name: str) -> object:
        return [file_digest(version / f"{name}{SUFFIX}"), asdict(store.cases[name]), list(organs)]

    def make(name: str) -> None:
        labels = read_labels(version / f"{name}{SUFFIX}", store.cases[name].grid, organs)
        channels = resample_labels(to_channels(labels, list(organs)), store.cases[name].shape)
        write_array(foreground / f"{name}.npy", foreground_locations(channels))
        write_bricks(context.folder / f"{name}.b2nd", channels)

    patterns = [foreground / "{}.npy", context.folder / "{}.b2nd"]
    raise_problems(make_cases(context, cases, patterns, describe_source, make))
    atomic.write_json(context.folder / CHANNELS, [{"id": i, "organ": organ} for i, organ in organs.items()])
    atomic.write_json(context.folder / MISSING, missing)
    write_sizes(context.folder)
    without = f"; none of {', '.join(missing)}" if missing else ""
    context.progress.end(f"labels of {len(cases)} of {len(store.cases)} cases{without}")


def to_channels(labels: NDArray[np.unsignedinteger], ids: Sequence[int]) -> NDArray[np.uint8]:
    """Replace the label ids of an (X, Y, Z) map by 1, 2, … in the order of `ids`, which ascend; 0 stays 0."""
    table = np.zeros(max(ids) + 1, np.uint8)
    table[list(ids)] = np.arange(1, len(ids) + 1)
    channels: NDArray[np.uint8] = table[labels]
    return channels


def foreground_locations(channels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Choose the foreground voxels around which patches may be centred.

    Args:
        channels: (X, Y, Z); 0 is background.

    Returns:
        (N, 2) channel and flat index, ascending: all voxels of a channel, or 10,000 of them at random (the same ones
        for the same labels); (0, 2) where all is background.
    """
    flat = channels.ravel()
    voxels = np.flatnonzero(flat)
    by_channel = [voxels[flat[voxels] == channel] for channel in np.unique(flat[voxels])]
    chosen = []
    for indices in by_channel:
        channel = int(flat[indices[0]])
        if indices.size > LOCATIONS:
            random = np.random.Generator(np.random.Philox(key=channel))
            indices = np.sort(random.choice(indices, LOCATIONS, replace=False))
        chosen.append(np.column_stack([np.full(indices.size, channel), indices]))
    return np.concatenate([np.zeros((0, 2), np.int64), *chosen]).astype(np.int32)


def _labelled_cases(context: Context, store: Store, version: Path) -> tuple[list[str], list[str]]:
    """Cases that the version has labels of, and cases that it has none of.

    Raises:
        CaseError: it lacks training cases, without --allow-missing.
    """
    missing = [name for name in sorted(store.cases) if not (version / f"{name}{SUFFIX}").exists()]
    cases = [name for name in sorted(store.cases) if name not in missing]
    missing_training = [name for name in missing if name in store.training]
    if missing_training and not (context.options["allow-missing"] and set(cases) & set(store.training)):
        raise CaseError(
            f"{version}: must hold labels of every training case, but {', '.join(missing_training)} is not there; "
            "networks would be trained on different cases: repair them, `exclude:` them in the study, or give "
            "--allow-missing"
        )
    return cases, missing
