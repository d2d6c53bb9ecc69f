"""One case of an import: its files are read to their end, judged, and put into the dataset folder."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import atomic, records
from contract.datasets import SUFFIX
from contract.errors import CaseError
from contract.grids import canonical_orientation, inverse_orientation, orient
from contract.niftifiles import encode_labels, open_nifti
from contract.niftiheaders import NiftiHeader
from contract.volumes import read_labels
from coordinator.datasets.importing.cases import SourceCase, split_ending
from coordinator.datasets.importing.files import put, write_anew
from coordinator.datasets.importing.masks import merge_masks, present_ids
from coordinator.datasets.importing.results import CaseResult, Place


def import_case(name: str, case: SourceCase, place: Place, organs: Mapping[int, str] | None) -> CaseResult:
    """Import a case; what is wrong with it is its result.

    Args:
        name: of the case, with which a killed process is told.
        case: the case.
        place: from where to where.
        organs: label id -> organ; any id may occur when None.
    """
    image, labels = (place.target / part / f"{case.name}{SUFFIX}" for part in ("images", "labels"))
    try:
        if case.scan is not None:
            from coordinator.datasets.importing.dicom.onecase import import_scan  # pydicom, which others don't need

            return import_scan(case.name, case.scan, place, organs or {})
        header, about_image = _import_image(place.source / case.image, image, place)
        if case.masks:
            return _merge(case, place, header, about_image, organs or {})
        return _import_labels(case, place, header, about_image, organs)
    except (CaseError, MemoryError) as error:
        for file in (image, labels):
            file.unlink(missing_ok=True)
        full = f"{case.image}: case must fit into memory, but does not ({error}); use a machine with more memory"
        return CaseResult(name, problem=full if isinstance(error, MemoryError) else str(error))


def _import_image(source: Path, target: Path, place: Place) -> tuple[NiftiHeader, dict[str, str]]:
    """Put an image there, and read it to its end."""
    written = _put_or_write(source, target, place)
    try:
        with open_nifti(target) as reader:
            for block in reader.read_blocks():
                _refuse_infinite(target, block)
            end, header = reader.finish(), reader.header
    except CaseError as error:
        raise _name_source(error, target, source) from None
    return header, {"from": _below(source, place.source), "how": written, "sha256": end.sha256}


def _import_labels(
    case: SourceCase,
    place: Place,
    header: NiftiHeader,
    about_image: dict[str, str],
    organs: Mapping[int, str] | None,
) -> CaseResult:
    source, target = place.source / (case.labels or ""), place.target / "labels" / f"{case.name}{SUFFIX}"
    how = _put_or_write(source, target, place)
    try:
        labels = read_labels(target, header.canonical_grid, organs)
    except CaseError as error:
        raise _name_source(error, target, source) from None
    about = {"from": _below(source, place.source), "how": how, "sha256": records.file_sha256(target)}
    return CaseResult(case.name, image=about_image, labels=about, organs=tuple(present_ids(labels)))


def _merge(
    case: SourceCase, place: Place, header: NiftiHeader, about_image: dict[str, str], organs: Mapping[int, str]
) -> CaseResult:
    """Write the label map of a case's masks, on the grid of its image's file."""
    ids = {organ: label for label, organ in organs.items()}
    merged = merge_masks(
        ((ids[organ], place.source / path) for organ, path in case.masks.items()), header.canonical_grid
    )
    stored = orient(
        merged.labels.astype(np.uint8 if max(organs, default=0) <= np.iinfo(np.uint8).max else np.uint16),
        header.canonical_grid,
        inverse_orientation(canonical_orientation(header.grid.affine)),
    )
    content = encode_labels(stored, header.fields, header.grid)
    atomic.write_bytes(place.target / "labels" / f"{case.name}{SUFFIX}", content)
    sha256 = hashlib.sha256(content).hexdigest()
    return CaseResult(
        case.name,
        image=about_image,
        labels={"from": list(case.masks.values()), "how": "masks merged", "sha256": sha256},
        organs=tuple(present_ids(merged.labels)),
        overlaps={f"{organs[got]} > {organs[lost]}": n for (got, lost), n in merged.overlaps.items()},
        overlap_voxels=merged.voxels,
    )


def _put_or_write(source: Path, target: Path, place: Place) -> str:
    if not source.is_file() or not os.access(source, os.R_OK):
        raise CaseError(f"{source}: must be a file that you may read, but is none; copy it again")
    if split_ending(source.name)[1].lower() == SUFFIX:
        return put(source, target, place.data)
    return write_anew(source, target)


def _refuse_infinite(path: Path, block: NDArray[np.generic]) -> None:
    if np.issubdtype(block.dtype, np.floating) and not np.isfinite(block).all():
        raise CaseError(f"{path}: all voxels must be finite, but some are NaN or infinite; repair the image")


def _name_source(error: CaseError, target: Path, source: Path) -> CaseError:
    """The same error of the file that the user knows."""
    return CaseError(str(error).replace(str(target), str(source)))


def _below(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")
