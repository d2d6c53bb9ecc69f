"""Bytes of small NIfTI files, and edits of their headers."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

OBLIQUE = np.array([[1.5, 0.3, 0.1, -9], [-0.3, 1.4, 0.2, 5], [0.1, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)
Edit = Callable[[bytearray], object]


def nifti_bytes(array: np.ndarray, affine: np.ndarray = OBLIQUE, *edits: Edit, units: str = "mm") -> bytes:
    """An uncompressed NIfTI-1 file with sform and qform of code 1, whose bytes were edited."""
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units(units)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    content = bytearray(image.to_bytes())
    for edit in edits:
        edit(content)
    return bytes(content)


def pack(offset: int, kind: str, *values: float) -> Edit:
    """Write numbers at a byte of the header."""

    def edit(content: bytearray) -> None:
        content[offset : offset + struct.calcsize(f"<{kind}")] = struct.pack(f"<{kind}", *values)

    return edit


def append(tail: bytes) -> Edit:
    """Add bytes behind the voxels."""
    return lambda content: content.extend(tail)


def dims(*shape: int) -> Edit:
    """Write the number of axes and their lengths."""
    return pack(40, "8h", len(shape), *shape, *[1] * (7 - len(shape)))


SFORM_CODE, QFORM_CODE, SFORM, QUATERNION, PIXDIM, VOX_OFFSET, SCALE, UNITS = 254, 252, 280, 256, 76, 108, 112, 123


def save_gz(path: Path, content: bytes) -> Path:
    """Write the bytes, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 6, mtime=0))
    return path
