"""SEG objects as highdicom writes them, and contours of masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from helpers.dicomseries import PERSONAL
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.sr.codedict import codes
from skimage.measure import find_contours


def write_seg(
    path: Path, slices: Sequence[Path], masks: Mapping[str, NDArray[np.generic]], *, kind: str = "BINARY"
) -> None:
    """Write a SEG object of a series; frames without a voxel are left out, as is usual.

    Args:
        path: of its file.
        slices: files of the series, in order.
        masks: label of a segment -> (X, Y, Z) mask, or shares from 0 to 1 for kind FRACTIONAL.
        kind: BINARY, FRACTIONAL or LABELMAP.
    """
    source = [dcmread(file) for file in slices]
    stack = np.stack([np.transpose(mask, (2, 1, 0)) for mask in masks.values()], axis=-1)
    organ = codes.SCT.Organ
    descriptions = [
        hd.seg.SegmentDescription(
            number,
            label,
            organ,
            organ,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            tracking_uid=hd.UID(),
            tracking_id=label,
        )
        for number, label in enumerate(masks, 1)
    ]
    made = hd.seg.Segmentation(
        source, stack.astype(np.float32 if kind == "FRACTIONAL" else np.uint8), kind, descriptions, hd.UID(), 42, hd.UID(), 1, "Maker", "Model", "1",
        "QXSERIAL55",
    )  # fmt: skip
    for keyword, value in PERSONAL.items():
        setattr(made, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)


def draw_contours(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Contours halfway between a mask's voxels and the others, each (N, 3) RAS mm; holes have contours of their own."""
    contours = []
    for number in range(mask.shape[2]):
        for corners in find_contours(np.pad(mask[:, :, number], 1).astype(float), 0.5):
            points = np.column_stack([corners[:-1] - 1, np.full(len(corners) - 1, number)])
            contours.append(points @ affine[:3, :3].T + affine[:3, 3])
    return contours
