"""A case through the networks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cads_tool import head
from cads_tool.cleaning import clean
from cads_tool.layers import stack
from cads_tool.networks import Network
from cads_tool.spacing import SPACING_MM, network_shape, resample_image, resample_labels
from contract import Case, CaseError, LabelMap


@dataclass(frozen=True, slots=True)
class Model:
    """What stays in memory from case to case.

    Attributes:
        networks: in the order of their numbers.
        shown: numbers of the networks whose structures the label map shows; the others tell where a head is.
        names: label id -> structure.
    """

    networks: list[Network]
    shown: frozenset[int]
    names: Mapping[int, str]


def segment_volume(model: Model, case: Case) -> LabelMap:
    """Segment a case.

    Returns:
        (X, Y, Z) label map on the image's voxels.

    Raises:
        CaseError: the volume is thinner than half a voxel of the networks, or holds 0 HU alone.
    """
    _check_image(case)
    image = resample_image(case.image.array, case.image.spacing_mm)
    ids = {name: i for i, name in model.names.items()}
    found: dict[int, LabelMap] = {}
    for network in model.networks:
        number = network.part.number
        found[number] = np.zeros(image.shape, np.uint8)
        region = head.find_region(number, found, ids)
        if region is not None:
            found[number][region] = clean(network.predict(image), model.names)[region]
    result = stack({number: found[number] for number in model.shown}, model.names)
    return resample_labels(result, case.image.grid.shape)


def _check_image(case: Case) -> None:
    shape, spacing_mm = case.image.grid.shape, case.image.spacing_mm
    for axis, n, size_mm, voxels in zip("xyz", shape, spacing_mm, network_shape(shape, spacing_mm), strict=True):
        if voxels < 1:
            raise CaseError(
                f"{case.name}: volume must be thicker than {SPACING_MM / 2:g} mm, half a voxel of the networks, but is "
                f"{n * size_mm:g} mm along {axis}; segment the whole volume that it is a slice of"
            )
    if not case.image.array.any():
        raise CaseError(f"{case.name}: image must hold voxels other than 0 HU, but does not; exclude the case")
