"""The steps that make the stores: images once a dataset, labels once a version.

prepare         split.json + images            ->  image store
prepare-labels  image store + label version    ->  label store

Each case is written in one step and remembers, in a hidden file, what it was made from: a run that was killed goes on
with the next case, and a case whose input has changed is made again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from contract import Context, atomic, records
from contract.datasets import SUFFIX, Dataset
from contract.errors import CaseError, UsageError
from contract.grids import Grid, canonical_orientation, orient_grid
from contract.volumes import read_image, read_labels
from contract.yamlfiles import did_you_mean
from dynunet_trainer.parent import plan_of
from dynunet_trainer.plan import UNITS_PER_HU, Plan, Spacing, make_plan, normalisation_of, parse_spacing
from dynunet_trainer.resample import resample_image, resample_labels, resampled_shape
from dynunet_trainer.store import (
    CHANNELS,
    FOREGROUND,
    IMAGES,
    MISSING,
    PLAN,
    Store,
    StoredCase,
    mapped,
    open_store,
    write_bricks,
    write_sizes,
)

LOCATIONS = 10_000
"""Foreground voxels of a channel that are remembered for sampling, as in nnU-Net."""
MOST_LABELS = 255


def prepare(context: Context) -> None:
    """Make the image store: plan and normalisation of the training cases, voxels of the held-out ones too.

    Raises:
        UsageError: an unsound split or option.
        CaseError: images that cannot be read; all are listed.
    """
    torch.set_num_threads(context.threads)
    split = _split(context)
    cases = _stored_cases(context, split)
    folder = context.folder / IMAGES
    folder.mkdir(exist_ok=True)
    _forget_others(folder, cases)

    def made_from(name: str) -> object:
        return [_file_digest(context.dataset.image(name)), cases[name].shape, UNITS_PER_HU]

    def make(name: str) -> None:
        hu = resample_image(read_image(context.dataset.image(name)).array, cases[name].shape)
        _write_array(folder / f"{name}.npy", _fixed_point(hu))

    _each_case(context, list(cases), [folder / "{}.npy"], made_from, make)
    _write_plan(context, cases, split)


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
        _forget_others(folder, cases)

    def made_from(name: str) -> object:
        return [_file_digest(version / f"{name}{SUFFIX}"), asdict(store.cases[name]), list(organs)]

    def make(name: str) -> None:
        labels = read_labels(version / f"{name}{SUFFIX}", store.cases[name].grid, organs)
        channels = resample_labels(to_channels(labels, list(organs)), store.cases[name].shape)
        _write_array(foreground / f"{name}.npy", foreground_locations(channels))
        write_bricks(context.folder / f"{name}.b2nd", channels)

    _each_case(context, cases, [foreground / "{}.npy", context.folder / "{}.b2nd"], made_from, make)
    atomic.write_json(context.folder / CHANNELS, [{"id": i, "organ": organ} for i, organ in organs.items()])
    atomic.write_json(context.folder / MISSING, missing)
    write_sizes(context.folder)
    listed = f"; none of {', '.join(missing)}" if missing else ""
    context.progress.end(f"labels of {len(cases)} of {len(store.cases)} cases{listed}")


def to_channels(labels: NDArray[np.unsignedinteger], ids: Sequence[int]) -> NDArray[np.uint8]:
    """Replace label ids by 1, 2, … in the order of `ids`, which ascend; 0 stays 0."""
    table = np.zeros(max(ids) + 1, np.uint8)
    table[list(ids)] = np.arange(1, len(ids) + 1)
    channels: NDArray[np.uint8] = table[labels]
    return channels


def foreground_locations(channels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Choose the foreground voxels around which patches may be centred.

    Args:
        channels: (X, Y, Z); 0 is background.

    Returns:
        (N, 2) channel and flat index, ascending: all voxels of a channel, or 10,000 of them at random (always the same
        ones for the same labels); (0, 2) where all is background.
    """
    flat = channels.ravel()
    voxels = np.flatnonzero(flat)
    by_channel = [voxels[flat[voxels] == channel] for channel in np.unique(flat[voxels])]
    chosen = []
    for places in by_channel:
        channel = int(flat[places[0]])
        if places.size > LOCATIONS:
            random = np.random.Generator(np.random.Philox(key=channel))
            places = np.sort(random.choice(places, LOCATIONS, replace=False))
        chosen.append(np.column_stack([np.full(places.size, channel), places]))
    return np.concatenate([np.zeros((0, 2), np.int64), *chosen]).astype(np.int32)


Split = dict[str, list[str]]
"""`train` and `holdout`, the names of their cases, sorted."""


def _stored_cases(context: Context, split: Split) -> dict[str, StoredCase]:
    """All cases and the shape that each will have."""
    grids = _image_grids(context.dataset, [*split["train"], *split["holdout"]])
    spacing_mm = _target_spacing(context, [grids[name] for name in split["train"]])
    return {
        name: StoredCase(resampled_shape(g.shape, g.spacing_mm, spacing_mm), g.shape, g.affine.tolist())
        for name, g in grids.items()
    }


def _split(context: Context) -> Split:
    """The split, of the cases of this run.

    Raises:
        UsageError: no split, no training cases, or cases that the dataset does not have.
    """
    file = context.input_folder("split") / "split.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        split = {part: sorted({str(name) for name in content[part]}) for part in ("train", "holdout")}
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f'{file}: must hold {{"train": [cases], "holdout": [cases]}}, but does not') from None
    known = context.dataset.cases()
    unknown = [name for names in split.values() for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"{file}: {context.dataset.name} has no case {unknown[0]!r}; {did_you_mean(unknown[0], known)}"
        )
    chosen = {part: [name for name in names if name in context.cases] for part, names in split.items()}
    if not chosen["train"]:
        raise UsageError(f"{file}: `train` must name at least one case of this run, but names none")
    return chosen


def _labelled_cases(context: Context, store: Store, version: Path) -> tuple[list[str], list[str]]:
    """Cases of which the version has labels, and those it has none of.

    Raises:
        CaseError: it lacks training cases, and nobody said that this may be.
    """
    missing = [name for name in sorted(store.cases) if not (version / f"{name}{SUFFIX}").exists()]
    cases = [name for name in sorted(store.cases) if name not in missing]
    lacking = [name for name in missing if name in store.training]
    if lacking and not (context.options["allow-missing"] and set(cases) & set(store.training)):
        raise CaseError(
            f"{version}: must hold labels of every training case, but {', '.join(lacking)} is not there; networks "
            "would be trained on different cases: repair them, `exclude:` them in the study, or give --allow-missing"
        )
    return cases, missing


def _image_grids(dataset: Dataset, cases: Sequence[str]) -> dict[str, Grid]:
    grids, problems = {}, []
    for name in cases:
        try:
            grids[name] = _image_grid(dataset.image(name))
        except CaseError as error:
            problems.append(str(error))
    _raise_all(problems)
    return grids


def _image_grid(path: Path) -> Grid:
    """The grid of an image turned to RAS+, from its header alone; the whole file is checked when it is resampled."""
    try:
        image = nib.load(path)
        shape, affine = image.shape, np.asarray(image.affine, dtype=np.float64)
        x, y, z = (int(n) for n in shape)
        stored = Grid((x, y, z), affine)
        return orient_grid(stored, canonical_orientation(affine))
    except (OSError, EOFError, ImageFileError, ValueError, ArithmeticError, np.linalg.LinAlgError):
        return read_image(path).grid


def _target_spacing(context: Context, grids: Sequence[Grid]) -> Spacing:
    if folder := context.optional_input_folder("parent"):
        return plan_of(folder, context.options).spacing_mm
    option = str(context.options["spacing"])
    if option != "median":
        return parse_spacing(option)
    x, y, z = np.median([grid.spacing_mm for grid in grids], axis=0).tolist()
    return (x, y, z)


def _write_plan(context: Context, cases: Mapping[str, StoredCase], split: Split) -> None:
    plan = _plan(context, {name: cases[name] for name in split["train"]})
    stored = {name: asdict(case) for name, case in sorted(cases.items())}
    unseen = [name for name in split["holdout"] if name not in split["train"]]
    content = {"units_per_hu": UNITS_PER_HU, "plan": plan.plain(), "holdout": unseen, "cases": stored}
    atomic.write_json(context.folder / PLAN, content)
    write_sizes(context.folder)
    context.progress.end(f"{len(cases)} images, spacing {plan.spacing_mm} mm, patch {plan.patch} voxels")


def _plan(context: Context, training: Mapping[str, StoredCase]) -> Plan:
    """The parent's plan, or one made from the training cases."""
    if folder := context.optional_input_folder("parent"):
        return plan_of(folder, context.options)
    counts = np.zeros(2**16, np.int64)
    for name in training:
        for plane in mapped(context.folder / IMAGES / f"{name}.npy"):
            counts += np.bincount(plane.ravel().astype(np.int64) + 2**15, minlength=2**16)
    options = context.options
    return make_plan(
        _target_spacing(context, [case.grid for case in training.values()]),
        [case.shape for case in training.values()], normalisation_of(counts),
        patch=str(options["patch"]), voxels=int(options["patch-voxels"]), filters=str(options["filters"]),
    )  # fmt: skip


def _fixed_point(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    """HU in steps of 1/8; beyond -4096 … 4095.875 HU, which no normalisation keeps, the nearest of these."""
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(hu * UNITS_PER_HU), limits.min, limits.max).astype(np.int16)


def _each_case(
    context: Context,
    cases: Sequence[str],
    patterns: Sequence[Path],
    made_from: Callable[[str], object],
    make: Callable[[str], None],
) -> None:
    """Make the files of each case, whose name stands for {} in `patterns`, unless they are there, made from the same.

    Raises:
        CaseError: everything that could not be made.
    """
    problems = []
    context.progress.begin(len(cases), str(context.arguments.step))
    for name in cases:
        try:
            outcome = _one_case(context, name, patterns, made_from, make)
        except CaseError as error:
            problems.append(str(error))
            outcome = str(error)
        context.progress.advance(name, outcome, failed=outcome not in {"done", "already done"})
    _raise_all(problems)


def _one_case(
    context: Context,
    name: str,
    patterns: Sequence[Path],
    made_from: Callable[[str], object],
    make: Callable[[str], None],
) -> str:
    digest = records.digest([context.manifest.version, made_from(name)])
    mark = patterns[0].with_name(f".{name}.made-from")
    files = [pattern.with_name(pattern.name.format(name)) for pattern in patterns]
    whole = mark.is_file() and mark.read_text(encoding="utf-8") == digest and all(file.is_file() for file in files)
    if whole and not context.arguments.overwrite:
        return "already done"
    # The mark goes first and comes last: whenever this stops, a mark stands only beside what it describes.
    for path in (mark, *files):
        path.unlink(missing_ok=True)
    make(name)
    atomic.write_text(mark, digest)
    return "done"


def _raise_all(problems: Sequence[str]) -> None:
    if problems:
        raise CaseError("\n".join([f"{len(problems)} cases cannot be used", *problems]))


def _file_digest(path: Path) -> str:
    try:
        return records.file_sha256(path)
    except OSError as error:
        raise CaseError(f"{path}: file must be readable, but: {error.strerror}") from None


def _forget_others(folder: Path, cases: Sequence[str] | Mapping[str, object]) -> None:
    """Remove arrays of cases that an earlier run had and this one has not."""
    for file in [*folder.glob("*.npy"), *folder.glob("*.b2nd")]:
        if file.stem not in cases:
            file.unlink()


def _write_array(path: Path, array: NDArray[np.generic]) -> None:
    with atomic.part_file(path) as part, part.open("wb") as stream:
        # `np.save` does not tell a full disk from other errors.
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(np.ascontiguousarray(array).tobytes())
