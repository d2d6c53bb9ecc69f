"""One case of DICOM: its series becomes a NIfTI file with nothing but geometry in its header, its labels another."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import atomic
from contract.datasets import SUFFIX
from contract.errors import CaseError
from contract.grids import Grid
from contract.niftifiles import encode_image, encode_labels
from contract.volumes import read_header
from coordinator.datasets.importing.dicom.contours import structure_masks
from coordinator.datasets.importing.dicom.quiet import quietly
from coordinator.datasets.importing.dicom.scans import LabelObject, Scan
from coordinator.datasets.importing.dicom.segmentations import segment_masks
from coordinator.datasets.importing.dicom.volumes import read_volume
from coordinator.datasets.importing.masks import Mask, Merged, crop, merge, present_ids
from coordinator.datasets.importing.results import WORK, CaseResult, Place


def import_scan(name: str, scan: Scan, place: Place, organs: Mapping[int, str]) -> CaseResult:
    """Import a case of DICOM.

    Args:
        name: of the case.
        scan: its series and labels.
        place: from where to where.
        organs: label id -> organ.

    Raises:
        CaseError: it can't be imported; the message begins with the number of its series.
    """
    series = f"series {scan.series.number}"
    if scan.problem or scan.series.grid is None:
        raise CaseError(scan.problem or "series must form a volume")
    image, labels = (place.target / part / f"{name}{SUFFIX}" for part in ("images", "labels"))
    try:
        work = place.target / WORK
        work.mkdir(exist_ok=True)
        with quietly():
            voxels = read_volume(scan.series, place.source, work)
        content = encode_image(voxels, scan.series.grid.affine)
        atomic.write_bytes(image, content)
        how = f"{scan.series.slices} DICOM slices converted"
        about = {"from": f"{name}: {series}", "how": how, "sha256": hashlib.sha256(content).hexdigest()}
        if scan.labels is None:
            return CaseResult(name, image=about)
        merged = _merge(scan.labels, place.source, scan.series.grid, organs)
    except CaseError as error:
        raise CaseError(f"{series}: {error}") from None
    sha256 = _write_labels(merged, image, labels, max(organs))
    return CaseResult(
        name,
        image=about,
        labels={"from": f"{name}: {scan.labels.kind}", "how": f"{scan.labels.kind} merged", "sha256": sha256},
        organs=tuple(present_ids(merged.labels)),
        overlaps={f"{organs[got]} > {organs[lost]}": n for (got, lost), n in merged.overlaps.items()},
        overlap_voxels=merged.voxels,
    )


def _merge(labels: LabelObject, source: Path, grid: Grid, organs: Mapping[int, str]) -> Merged:
    """The label map of an object, on the grid of the images."""
    ids = {organ: label for label, organ in organs.items()}
    make_masks = segment_masks if labels.kind == "SEG" else structure_masks
    try:
        with quietly():
            masks = make_masks(source / labels.file, grid)
            return merge(
                {ids[organ]: partial(_crop, masks[number]) for number, organ in labels.organs.items()}, grid.shape
            )
    except (CaseError, MemoryError):
        raise
    except Exception as error:
        raise CaseError(
            f"{labels.kind} must be sound, but reading it ended in {type(error).__name__}; export it again, and "
            "uncompressed"
        ) from error


def _write_labels(merged: Merged, image: Path, target: Path, highest: int) -> str:
    """Write a label map with the geometry of its image; return its sha256."""
    header = read_header(image)
    kind = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
    content = encode_labels(merged.labels.astype(kind), header.fields, header.grid)
    atomic.write_bytes(target, content)
    return hashlib.sha256(content).hexdigest()


def _crop(make_mask: Callable[[], NDArray[np.bool_]]) -> Mask:
    return crop(make_mask())
