"""nnU-Net's dataset fingerprint, computed here rather than by its pool of processes, each of which would import torch.

The content is that of `DatasetFingerprintExtractor.run`: shapes and spacings, and the intensities of labelled voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from numpy.typing import NDArray

from contract import UsageError, Volume
from nnunet_tool.arrays import image_array, reverse_axes

SAMPLED_VOXELS = 10_000_000
"""Labelled voxels that the intensities are taken from, the same number from each case.

nnU-Net takes ten times as many, which needs 1 GB and changes a percentile by a fraction of the noise.
"""


@dataclass(frozen=True, slots=True, eq=False)
class CaseFingerprint:
    """The part of one case.

    Attributes:
        shape: (Z, Y, X) voxels without the zeros around.
        spacing_mm: z, y, x.
        intensities: HU of labelled voxels, drawn with replacement; none where there is no label.
        kept: share of the voxels that remains without the zeros around.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    intensities: NDArray[np.float32]
    kept: float


def case_fingerprint(image: Volume, labels: NDArray[np.int16], cases: int) -> CaseFingerprint:
    """Measure one case.

    Args:
        image: HU.
        labels: (X, Y, Z) nnU-Net's ids.
        cases: of the dataset; they share the sampled voxels.
    """
    array = image_array(image)
    cropped, labels_cropped, _ = crop_to_nonzero(array, reverse_axes(labels)[None].copy())
    per_channel, _ = DatasetFingerprintExtractor.collect_foreground_intensities(
        labels_cropped, cropped, num_samples=SAMPLED_VOXELS // cases
    )
    return CaseFingerprint(
        shape=tuple(cropped.shape[1:]),
        spacing_mm=image.spacing_mm[::-1],
        intensities=np.asarray(per_channel[0], np.float32),
        kept=cropped.size / array.size,
    )


def dataset_fingerprint(cases: Sequence[CaseFingerprint]) -> dict[str, Any]:
    """Join the cases' fingerprints into the one that nnU-Net's planner reads.

    Raises:
        UsageError: no case has a label.
    """
    intensities = np.concatenate([case.intensities for case in cases])
    if not intensities.size:
        raise UsageError("labels must mark some voxel, but all cases are background; there is nothing to learn")
    low, median, high = np.percentile(intensities, (0.5, 50.0, 99.5))
    return {
        "spacings": [list(case.spacing_mm) for case in cases],
        "shapes_after_crop": [list(case.shape) for case in cases],
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": float(intensities.mean()),
                "median": float(median),
                "std": float(intensities.std()),
                "min": float(intensities.min()),
                "max": float(intensities.max()),
                "percentile_99_5": float(high),
                "percentile_00_5": float(low),
            }
        },
        "median_relative_size_after_cropping": float(np.median([case.kept for case in cases])),
    }
