"""Connected parts of a structure that are too small are removed, by upstream's numbers of voxels at 1.5 mm."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract import LabelMap

Mask = NDArray[np.bool_]

_STRUCTURES: dict[int, tuple[str, ...]] = {
    0: ("left_mammary_gland", "right_mammary_gland"),
    10: ("iliac_artery_left", "iliac_artery_right"),
    20: ("gallbladder",),
    100: (
        "trachea", "heart_myocardium", "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right",
        "heart_ventricle_right", "brain", "colon", "face",
    ),
    150: ("small_bowel",),
    200: ("abdominal_cavity", "bones"),
    300: (
        "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
        "lung_lower_lobe_right",
    ),
    500: (
        "inferior_vena_cava", "iliac_vena_left", "iliac_vena_right", "humerus_left", "humerus_right", "scapula_left",
        "scapula_right", "spinal_cord",
    ),
    1000: (
        "spleen", "kidney_right", "kidney_left", "stomach", "aorta", "pancreas", "esophagus", "clavicula_left",
        "clavicula_right", "femur_left", "femur_right", "hip_left", "hip_right", "sacrum", "gluteus_maximus_left",
        "gluteus_maximus_right", "gluteus_medius_left", "gluteus_medius_right", "gluteus_minimus_left",
        "gluteus_minimus_right", "autochthon_left", "autochthon_right", "iliopsoas_left", "iliopsoas_right",
        "spinal_canal", "larynx", "heart", "bowel_bag", "sigmoid", "rectum", "right psoas major", "left psoas major",
        "right rectus abdominis", "left rectus abdominis", "pericardium",
    ),
    1500: ("urinary_bladder", "sternum"),
    2200: ("liver",),
    4000: ("subcutaneous_tissue", "muscle"),
}  # fmt: skip
FEWEST_VOXELS = {name: voxels for voxels, names in _STRUCTURES.items() for name in names}
"""Structure -> voxels below which a connected part is removed; structures that are not named stay as they are."""
LARGEST_ALONE = frozenset({"left_mammary_gland", "right_mammary_gland", "sternum", "abdominal_cavity", "pericardium"})
"""Structures of which only the largest part stays."""
FILLED = frozenset({"left_mammary_gland", "right_mammary_gland"})
"""Structures whose holes are filled before."""


def clean(labels: LabelMap, names: Mapping[int, str]) -> LabelMap:
    """Remove small parts of each structure; parts touch by faces, edges or corners.

    Args:
        labels: (X, Y, Z) label map at 1.5 mm.
        names: label id -> structure.

    Returns:
        (X, Y, Z) label map.
    """
    result = labels.copy()
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or (name := names[label]) not in FEWEST_VOXELS:
            continue
        inside = result[box]
        if name in FILLED:
            inside[(inside == 0) & _fill_holes(inside == label)] = label
        mask = inside == label
        inside[mask & ~_large_parts(mask, FEWEST_VOXELS[name], only_largest=name in LARGEST_ALONE)] = 0
    return result


def _large_parts(mask: Mask, fewest: int, *, only_largest: bool) -> Mask:
    """The connected parts of a mask that have enough voxels."""
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    voxels = np.bincount(parts.ravel(), minlength=count + 1)
    voxels[0] = -1  # what is outside of the mask
    stays = voxels >= fewest
    if only_largest:
        stays &= np.arange(count + 1) == voxels.argmax()
    return np.asarray(stays[parts])


def _fill_holes(mask: Mask) -> Mask:
    """Fill holes of the volume, then of its slices along each axis, then of the volume again."""
    filled = ndimage.binary_fill_holes(mask)
    for axis in (2, 0, 1):
        slices = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(filled, axis, 0)]
        filled = np.stack(slices, axis=axis)
    return np.asarray(ndimage.binary_fill_holes(filled))
