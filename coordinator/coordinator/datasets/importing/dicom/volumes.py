"""The voxels of a series, as dcm2niix converts them, in HU on the grid that its headers tell."""

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import generate_uid

from contract.errors import CaseError
from contract.grids import Grid, orient, orient_grid
from coordinator.datasets.importing.dicom.frames import MULTI_FRAME, transfer_syntax
from coordinator.datasets.importing.dicom.scans import Series

COMMAND = (
    dcm2niix.bin, "-b", "n", "-z", "n", "-m", "y", "-d", "0", "-g", "i", "-c", "", "-f", "volume", "-o", "out", "in",
)  # fmt: skip
"""No sidecar, not compressed, slices of one series stay together, no defaults of the user's, no comment of the header;
paths are relative, since the program cuts long ones."""
VOXEL_TAGS = (
    "SOPClassUID", "Modality", "ImageType", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelData",
)  # fmt: skip
"""What dcm2niix needs to make a volume, and nothing of anybody."""
BY_HAND = "convert it yourself, and import the NIfTI files"
MOST_HU = np.iinfo(np.int16).max
"""That int16 holds, of either sign."""
SAME_VOXEL = 0.5
"""Of a voxel, that the first voxels of two grids may be apart: above it the next voxel is nearer."""
SAME_DIRECTION = 0.99
"""Cosine between the axes of two grids, above which they are one and rounded: 8 degrees; others differ by 90."""


def read_volume(series: Series, source: Path, work: Path) -> NDArray[np.int16 | np.float32]:
    """Convert a series.

    Args:
        series: without a problem.
        source: folder below which its files lie.
        work: existing folder for temporary files.

    Returns:
        (X, Y, Z) HU on the grid of the series: int16 where that holds them exactly, else float32.

    Raises:
        CaseError: dcm2niix can't read it, or makes another volume of it than its headers tell.
    """
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        for part in ("in", "out"):
            (folder / part).mkdir()
        for number, file in enumerate(series.files):
            _stage(source / file, folder / "in" / f"{number:06d}.dcm", number)
        ended = subprocess.run(COMMAND, cwd=folder, capture_output=True, check=False)
        written = sorted((folder / "out").iterdir())
        if ended.returncode or [file.name for file in written] != ["volume.nii"]:
            raise CaseError(
                f"series must become one volume, but dcm2niix ended with {ended.returncode} and made {len(written)}; "
                f"run dcm2niix on its folder to see why, or {BY_HAND}"
            )
        return _read(nib.load(written[0]), _require(series.grid))


def _stage(source: Path, target: Path, number: int) -> None:
    """Write a slice anew, with a preamble and what makes a volume; link an object of many frames.

    By other fields dcm2niix would split a series or tilt it: instances with one number, dates, a gantry's tilt.
    """
    try:
        read = dcmread(source, force=True, specific_tags=list(VOXEL_TAGS))
        content = Dataset()
        for tag in VOXEL_TAGS:
            if tag in read:
                content[tag] = read[tag]
        content.InstanceNumber, content.SOPInstanceUID = number + 1, generate_uid(entropy_srcs=[str(number)])
        content.file_meta = FileMetaDataset()
        content.file_meta.TransferSyntaxUID = transfer_syntax(read)
        buffer = io.BytesIO()
        if "PixelData" in content and content.SOPClassUID not in MULTI_FRAME:
            dcmwrite(buffer, content, enforce_file_format=True)
    except Exception as error:
        raise CaseError(
            f"files must be whole, but reading one ended in {type(error).__name__}; copy the folder again"
        ) from error
    if content.get("SOPClassUID") in MULTI_FRAME:
        target.symlink_to(os.path.realpath(source))
    elif "PixelData" in content:
        target.write_bytes(buffer.getbuffer())
    else:
        raise CaseError("files must be whole, but one ends within its pixels; copy the folder again")


def _read(image: nib.Nifti1Image, expected: Grid) -> NDArray[np.int16 | np.float32]:
    came = Grid(image.shape, np.asarray(image.affine, np.float64))
    if len(image.shape) != len(expected.shape):
        raise CaseError(f"series must become one volume, but dcm2niix made one of shape {image.shape}; {BY_HAND}")
    orientation = np.asarray(io_orientation(np.linalg.inv(expected.affine) @ came.affine))
    _refuse_other_grid(orient_grid(came, orientation), expected)
    voxels = to_hu(np.asanyarray(image.dataobj.get_unscaled()), image.dataobj.slope, image.dataobj.inter)
    return np.ascontiguousarray(orient(voxels, came, orientation))


def to_hu(stored: NDArray[np.generic], slope: float, intercept: float) -> NDArray[np.int16 | np.float32]:
    """Scale stored values: to int16 where that holds each exactly, else to float32.

    Args:
        stored: (X, Y, Z).
        slope: factor.
        intercept: what is added, in HU.
    """

    def scale() -> Iterator[NDArray[np.float64]]:
        for number in range(stored.shape[2]):  # wide numbers for one slice at a time
            yield stored[:, :, number].astype(np.float64) * slope + intercept

    is_whole = all(np.array_equal(np.rint(part), part) and np.abs(part).max() <= MOST_HU for part in scale())
    values = np.empty(stored.shape, np.int16 if is_whole else np.float32)
    for number, part in enumerate(scale()):
        values[:, :, number] = part
    return values


def _refuse_other_grid(came: Grid, expected: Grid) -> None:
    """Refuse a volume of other voxels than the headers tell: it was cut, resampled or sorted otherwise."""
    if came.shape != expected.shape:
        raise CaseError(f"volume must have the shape {expected.shape}, but dcm2niix made {came.shape}; {BY_HAND}")
    spacing = np.array(expected.spacing_mm)
    cosines = (came.affine[:3, :3] * expected.affine[:3, :3]).sum(axis=0) / spacing / np.array(came.spacing_mm)
    off = np.linalg.inv(expected.affine)[:3] @ came.affine[:, 3]
    off_mm = float(np.abs(off * spacing).max())
    if cosines.min() < SAME_DIRECTION or np.abs(off).max() > SAME_VOXEL:
        raise CaseError(f"volume must lie where its slices do, but dcm2niix put it {off_mm:.1f} mm away; {BY_HAND}")


def _require(grid: Grid | None) -> Grid:
    if grid is None:
        raise CaseError("slices must form a grid, but form none")
    return grid
