"""Step `prepare`: split + images -> image store, with the plan that all label versions share."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from contract import Context, atomic, records
from contract.datasets import Dataset
from contract.errors import CaseError, UsageError
from contract.grids import Grid
from contract.records import CaseStatus
from contract.volumes import read_grid, read_image
from contract.yamlfiles import did_you_mean
from dynunet_trainer.casefiles import file_digest, make_cases, raise_problems, remove_other_cases, write_array
from dynunet_trainer.parent import read_plan
from dynunet_trainer.plan import UNITS_PER_HU, Plan, Spacing, make_plan, measure_normalisation, parse_spacing
from dynunet_trainer.resample import resample_image, resampled_shape
from dynunet_trainer.store import IMAGES, PLAN, StoredCase, map_array, write_sizes

MOST_VOXELS = 4e9
"""Of an image at the spacing of the store: far more than a CT of a whole body, less than a wrong affine asks for."""


def prepare(context: Context) -> None:
    """Make the image store: the plan from the training cases, voxels of these and of the held-out cases.

    A case that cannot be read or resampled is left out of the store, and so of the training of every label version. It
    is named in `status.jsonl`.

    Raises:
        UsageError: an unsound split or option.
        CaseError: no training case can be used; all problems are listed.
    """
    torch.set_num_threads(context.threads)
    split = _read_split(context)
    cases, problems = _stored_cases(context, split)
    _require_training(split, problems)
    folder = context.folder / IMAGES
    folder.mkdir(exist_ok=True)
    remove_other_cases(folder, cases)

    def describe_source(name: str) -> object:
        return [file_digest(context.dataset.image(name)), cases[name].shape, UNITS_PER_HU]

    def make(name: str) -> None:
        hu = resample_image(read_image(context.dataset.image(name)).array, cases[name].shape)
        write_array(folder / f"{name}.npy", _to_stored_units(hu))

    problems |= make_cases(context, list(cases), [folder / "{}.npy"], describe_source, make)
    _require_training(split, problems)
    _write_statuses(context, problems)
    _write_plan(context, {name: case for name, case in cases.items() if name not in problems}, split)


Split = dict[str, list[str]]
"""`train` and `holdout`, the names of their cases, sorted."""


def _stored_cases(context: Context, split: Split) -> tuple[dict[str, StoredCase], dict[str, CaseError]]:
    """All cases and the shape that each will have; and why others can't be used."""
    grids, problems = _image_grids(context.dataset, [*split["train"], *split["holdout"]])
    training = [grids[name] for name in split["train"] if name in grids]
    if not training:
        return {}, problems
    spacing_mm = _target_spacing(context, training)
    cases = {}
    for name, grid in grids.items():
        shape = resampled_shape(grid.shape, grid.spacing_mm, spacing_mm)
        if math.prod(shape) > MOST_VOXELS:
            problems[name] = CaseError(
                f"{context.dataset.image(name)}: image must have at most {MOST_VOXELS:g} voxels at a spacing of "
                f"{spacing_mm} mm, but would have {shape}; repair the affine, or exclude the case under `exclude:` in "
                "dataset.yaml"
            )
            continue
        cases[name] = StoredCase(shape, grid.shape, grid.affine.tolist())
    return cases, problems


def _require_training(split: Split, problems: Mapping[str, CaseError]) -> None:
    """Refuse a store without a training case; the error lists all problems."""
    if not set(split["train"]) - set(problems):
        raise_problems(problems)


def _write_statuses(context: Context, problems: Mapping[str, CaseError]) -> None:
    """Name the cases that were left out, where a study looks for cases that a tool could not do."""
    if problems:
        failed = {name: CaseStatus.failed(name, error) for name, error in problems.items()}
        records.write_statuses(context.folder, failed)
    else:
        (context.folder / records.STATUS).unlink(missing_ok=True)


def _read_split(context: Context) -> Split:
    """Read the split, and keep the cases of this run.

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
    in_this_run = {part: [name for name in names if name in context.cases] for part, names in split.items()}
    if not in_this_run["train"]:
        raise UsageError(f"{file}: `train` must name at least one case of this run, but names none")
    return in_this_run


def _image_grids(dataset: Dataset, cases: Sequence[str]) -> tuple[dict[str, Grid], dict[str, CaseError]]:
    """Case -> its image's grid; and case -> why it has none. A whole file is checked when it is resampled."""
    grids, problems = {}, {}
    for name in cases:
        try:
            grids[name] = read_grid(dataset.image(name))
        except CaseError as error:
            problems[name] = error
    return grids, problems


def _target_spacing(context: Context, grids: Sequence[Grid]) -> Spacing:
    if folder := context.optional_input_folder("parent"):
        return read_plan(folder, context.options).spacing_mm
    option = str(context.options["spacing"])
    if option != "median":
        return parse_spacing(option)
    x, y, z = np.median([grid.spacing_mm for grid in grids], axis=0).tolist()
    return (x, y, z)


def _write_plan(context: Context, cases: Mapping[str, StoredCase], split: Split) -> None:
    plan = _make_plan(context, {name: cases[name] for name in split["train"] if name in cases})
    stored = {name: asdict(case) for name, case in sorted(cases.items())}
    holdout = [name for name in split["holdout"] if name in cases and name not in split["train"]]
    content = {"units_per_hu": UNITS_PER_HU, "plan": plan.to_dict(), "holdout": holdout, "cases": stored}
    atomic.write_json(context.folder / PLAN, content)
    write_sizes(context.folder)
    context.progress.end(f"{len(cases)} images, spacing {plan.spacing_mm} mm, patch {plan.patch} voxels")


def _make_plan(context: Context, training: Mapping[str, StoredCase]) -> Plan:
    """The parent's plan, or one made from the training cases."""
    if folder := context.optional_input_folder("parent"):
        return read_plan(folder, context.options)
    counts = np.zeros(2**16, np.int64)
    for name in training:
        for plane in map_array(context.folder / IMAGES / f"{name}.npy"):
            counts += np.bincount(plane.ravel().astype(np.int64) + 2**15, minlength=2**16)
    options = context.options
    return make_plan(
        _target_spacing(context, [case.grid for case in training.values()]),
        [case.shape for case in training.values()], measure_normalisation(counts),
        patch=str(options["patch"]), voxels=int(options["patch-voxels"]), filters=str(options["filters"]),
    )  # fmt: skip


def _to_stored_units(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    """Count HU in steps of 1/8; values beyond -4096 … 4095.875 HU, which no normalisation keeps, are clipped."""
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(hu * UNITS_PER_HU), limits.min, limits.max).astype(np.int16)
