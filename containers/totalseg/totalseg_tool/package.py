"""A case through TotalSegmentator's Python package: `totalsegmentator(image, …)`, task `total`."""

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from nnunetv2.utilities.file_path_utilities import get_output_folder
from totalsegmentator.python_api import get_task_config, totalsegmentator

from contract import Case, CaseError, LabelMap, UsageError
from contract.manifest import OptionValue
from totalseg_tool.predictor import Predictors, silent

TASK = "total"
MODES = {"total": "default", "3mm": "fast", "6mm": "fastest"}
"""Variant of the manifest -> what the package calls it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the package is called.

    Attributes:
        mode: default, fast or fastest.
        spacing_mm: voxel size of the models' input, the same along each axis.
        device: cpu or gpu:I.
        resampling_order: of the splines with which the image is resampled to `spacing_mm`.
        smooth: resample the networks' scores back to the image's voxels, not their labels.
        small_blobs_mm3: connected parts of an organ below this volume are removed; 0 keeps all.
    """

    mode: str
    spacing_mm: float
    device: str
    resampling_order: int
    smooth: bool
    small_blobs_mm3: float


def settings(variant: str, options: Mapping[str, OptionValue], device: torch.device) -> Settings:
    """Read the checked options of the manifest."""
    return Settings(
        mode=MODES[variant],
        spacing_mm=float(_task(MODES[variant])["resample"]),
        device=f"gpu:{device.index or 0}" if device.type == "cuda" else "cpu",
        resampling_order=int(options["resampling-order"]),
        smooth=bool(options["higher-order-resampling"]),
        small_blobs_mm3=float(options["remove-small-blobs"]),
    )


def read_models(predictors: Predictors, mode: str) -> None:
    """Read all models of a mode from the folder that `offline.prepare` made."""
    task = _task(mode)
    ids = task["task_id"] if isinstance(task["task_id"], list) else [task["task_id"]]
    for task_id in ids:
        folder = get_output_folder(task_id, task["trainer"], task["plans"], task["model"])
        with silent():
            predictors.read(folder, task["folds"])


def segment_volume(case: Case, chosen: Settings) -> LabelMap:
    """Segment a case.

    Returns:
        (X, Y, Z) label map in the ids of task `total`, on the image's voxels.

    Raises:
        CaseError: the volume is thinner than half a voxel of the models.
    """
    _check_extent(case, chosen.spacing_mm)
    image = nib.Nifti1Image(np.asarray(case.image.array, dtype=np.float64), case.image.grid.affine)
    with silent():
        result = totalsegmentator(
            image, task=TASK, ml=True, fast=chosen.mode == "fast", fastest=chosen.mode == "fastest",
            device=chosen.device, quiet=True, nr_thr_resamp=1, nr_thr_saving=1,
            resampling_order=chosen.resampling_order, higher_order_resampling=chosen.smooth,
            remove_small_blobs=chosen.small_blobs_mm3 or False,
        )  # fmt: skip
    return np.asarray(result.dataobj, dtype=np.uint8)


def chosen_device(asked: str) -> torch.device:
    """The device that `--device` means; `auto` is the first GPU, else the CPU.

    Raises:
        UsageError: a GPU was asked for that is not there; the package would take the CPU.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device must name a GPU of this machine, but {asked} is not there; use cpu or auto")
    return device


def _task(mode: str) -> dict[str, object]:
    """The package's own description of task `total`: models, trainer, folds, spacing."""
    return dict(get_task_config(TASK, fast=mode == "fast", fastest=mode == "fastest", quiet=True, plans="nnUNetPlans"))


def _check_extent(case: Case, spacing_mm: float) -> None:
    """Refuse a volume of which nothing is left at the models' spacing; scipy's zoom rounds as `round` does."""
    for axis, n, size_mm in zip("xyz", case.image.grid.shape, case.image.spacing_mm, strict=True):
        if round(n * size_mm / spacing_mm) < 1:
            raise CaseError(
                f"{case.name}: volume must be thicker than {spacing_mm / 2:g} mm, half a voxel of the models, but is "
                f"{n * size_mm:g} mm along {axis}; segment the whole volume that it is a slice of"
            )
