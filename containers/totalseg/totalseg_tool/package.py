"""A case through TotalSegmentator's Python package: `totalsegmentator(image, …)`, task `total`."""

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from nnunetv2.utilities.file_path_utilities import get_output_folder
from totalsegmentator.python_api import get_task_config, totalsegmentator

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from totalseg_tool.predictor import Predictors, silence_output

TASK = "total"
MODES = {"total": "default", "3mm": "fast", "6mm": "fastest"}
"""Variant of the manifest -> its name in the package."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the package is called.

    Attributes:
        mode: default, fast or fastest.
        spacing_mm: voxel size of the models' input, the same along each axis.
        device: cpu or gpu:I.
        resampling_order: of the splines with which the image is resampled to `spacing_mm`.
        smooth: resample the networks' scores to the image's voxels, not their labels.
        small_blobs_mm3: connected parts of an organ below this volume are removed; 0 keeps all.
    """

    mode: str
    spacing_mm: float
    device: str
    resampling_order: int
    smooth: bool
    small_blobs_mm3: float


def read_settings(variant: str, options: Mapping[str, OptionValue], device: torch.device) -> Settings:
    """Read the options of a variant."""
    return Settings(
        mode=MODES[variant],
        spacing_mm=float(_task_config(MODES[variant])["resample"]),
        device=f"gpu:{device.index or 0}" if device.type == "cuda" else "cpu",
        resampling_order=int(options["resampling-order"]),
        smooth=bool(options["higher-order-resampling"]),
        small_blobs_mm3=float(options["remove-small-blobs"]),
    )


def read_models(predictors: Predictors, mode: str) -> None:
    """Read all models of a mode from the folder that `offline.prepare_home` made."""
    task = _task_config(mode)
    ids = task["task_id"] if isinstance(task["task_id"], list) else [task["task_id"]]
    for task_id in ids:
        folder = get_output_folder(task_id, task["trainer"], task["plans"], task["model"])
        with silence_output():
            predictors.read(folder, task["folds"])


def segment_volume(settings: Settings, case: Case) -> LabelMap:
    """Segment a case.

    Returns:
        (X, Y, Z) label map in the ids of task `total`, on the image's voxels.

    Raises:
        CaseError: the volume is thinner than half a voxel of the models.
    """
    _check_extent(case, settings.spacing_mm)
    image = nib.Nifti1Image(np.asarray(case.image.array, dtype=np.float64), case.image.grid.affine)
    with silence_output():
        result = totalsegmentator(
            image, task=TASK, ml=True, fast=settings.mode == "fast", fastest=settings.mode == "fastest",
            device=settings.device, quiet=True, nr_thr_resamp=1, nr_thr_saving=1,
            resampling_order=settings.resampling_order, higher_order_resampling=settings.smooth,
            remove_small_blobs=settings.small_blobs_mm3 or False,
        )  # fmt: skip
    return np.asarray(result.dataobj, dtype=np.uint8)


def _task_config(mode: str) -> dict[str, object]:
    """The package's own configuration of task `total`: models, trainer, folds, spacing."""
    return dict(get_task_config(TASK, fast=mode == "fast", fastest=mode == "fastest", quiet=True, plans="nnUNetPlans"))


def _check_extent(case: Case, spacing_mm: float) -> None:
    """Refuse a volume that has no voxel at the models' spacing; scipy's zoom rounds as `round` does."""
    for axis, n, size_mm in zip("xyz", case.image.grid.shape, case.image.spacing_mm, strict=True):
        if round(n * size_mm / spacing_mm) < 1:
            raise CaseError(
                f"{case.name}: volume must be thicker than {spacing_mm / 2:g} mm, half a voxel of the models, but is "
                f"{n * size_mm:g} mm along {axis}; segment the whole volume that it is a slice of"
            )
