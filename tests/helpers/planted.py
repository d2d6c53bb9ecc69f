"""Scans and copies of them, changed in ways in which public datasets change each other's scans."""

from collections.abc import Callable
from types import MappingProxyType

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

Voxels = NDArray[np.generic]
PADDING = -3024
PATIENTS, SHAPE = 500, (36, 34, 22)


def draw_patient(seed: int) -> NDArray[np.float64]:
    """A body of smooth organs without noise in air, within a round field of view."""
    random = np.random.default_rng([seed, 1])
    organs = zoom(random.normal(60, 90, (5, 5, 4)), np.divide(SHAPE, (5, 5, 4)), order=1)
    x, y = np.meshgrid(*(np.linspace(-1, 1, length) for length in SHAPE[:2]), indexing="ij")
    is_body = (x / random.uniform(0.7, 0.85)) ** 2 + (y / random.uniform(0.6, 0.75)) ** 2 < 1
    return np.where(is_body[..., None], organs, -1000)


def scan(patient: NDArray[np.float64], seed: int) -> NDArray[np.int16]:
    """One scan of a patient, with the noise of this scan and padding outside the field of view."""
    noisy = patient + np.random.default_rng([seed, 2]).normal(0, 14, patient.shape)
    x, y = np.meshgrid(*(np.linspace(-1, 1, length) for length in patient.shape[:2]), indexing="ij")
    return np.where((x**2 + y**2 > 1.1)[..., None], PADDING, np.rint(noisy).clip(-1024, 3071)).astype(np.int16)


def stored_otherwise(voxels: Voxels) -> nib.Nifti1Image:
    """In another orientation of the same space."""
    image = nib.Nifti1Image(voxels, np.diag([0.8, 0.9, 2.5, 1]))
    return image.as_reoriented(nib.orientations.axcodes2ornt("PIR"))


COPIES = MappingProxyType[str, Callable[[Voxels], Voxels]](
    {
        "the same": lambda scan: scan,
        "three slices less at one end": lambda scan: scan[..., 3:],
        "three slices less at both ends": lambda scan: scan[..., 3:-3],
        "one slice less, and the axes turned": lambda scan: scan[..., 1:].transpose(2, 0, 1)[:, ::-1],
        "another orientation": lambda scan: np.asarray(stored_otherwise(scan).dataobj),
        "another orientation, two slices less": lambda scan: np.asarray(stored_otherwise(scan[..., :-2]).dataobj),
        "no offset": lambda scan: (scan.astype(np.int32) + 1024).astype(np.int16),
        "tenths of HU": lambda scan: scan.astype(np.int32) * 10,
        "three times as many, from 7, as floats": lambda scan: scan.astype(np.float32) * 3 + 7,
        "padding clipped": lambda scan: scan.clip(-1024, None),
        "a window of air to bone": lambda scan: scan.clip(-1000, 1000),
        "all of it": lambda scan: scan[::-1, :, 3:-3].clip(-1024, 2000).transpose(1, 2, 0).astype(np.int32) * 2 + 2048,
    }
)
