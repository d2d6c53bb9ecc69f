"""One slice for each finding: the organ's outline over the CT, as a small PNG.

Seen as radiologists see it: the patient's right is on the picture's left, the front is on top of an axial slice and on
the left of a sagittal one, the head is on top of the others.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from contract.datasets import Dataset
from contract.errors import CaseError
from contract.labelmaps import LabelMap
from contract.processes import map_cases
from contract.volumes import Volume, read_image, read_labels
from coordinator.datasets.audit.findings import Finding, Place

SOFT_TISSUE_HU = (-160, 240)
LONG_SIDE = 320
"""Pixels of a picture's longer side."""
YELLOW, CYAN = (255, 225, 25), (60, 170, 200)
"""The finding's organ, and all others. A thick and a thin line, so that nobody needs to see the colours."""
RING = 14
"""Pixels around the place that is meant."""
NAMES = ("sagittal", "coronal", "axial")
GREYS = 61
"""Grey values of a picture, beside three colours: a fixed palette has a third of the bytes of true colour."""
YELLOW_INDEX, CYAN_INDEX, WHITE_INDEX = GREYS, GREYS + 1, GREYS + 2
PALETTE = (*(round(255 * i / (GREYS - 1)) for i in range(GREYS) for _ in range(3)), *YELLOW, *CYAN, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class Picture:
    """A slice that shows a finding.

    Attributes:
        png: its bytes.
        alt: what is seen, in words.
    """

    png: bytes
    alt: str


def draw_pictures(dataset: Dataset, findings: Sequence[Finding], processes: int) -> dict[Finding, Picture]:
    """Draw a slice for each finding that is about a case; of cases that can't be read none.

    Args:
        dataset: whose findings.
        findings: each case is read once for all of its own.
        processes: how many cases are read at once.
    """
    by_case: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.case:
            by_case.setdefault(finding.case, []).append(finding)
    tasks = [(dataset.image(case), dataset, case, of_case) for case, of_case in by_case.items()]
    pictures: dict[Finding, Picture] = {}
    for of_case, drawn in zip(by_case.values(), map_cases(_draw_case, tasks, processes, "forkserver"), strict=True):
        if not isinstance(drawn, CaseError):
            pictures.update(zip(of_case, drawn, strict=False))
    return pictures


def _draw_case(path: Path, dataset: Dataset, case: str, findings: Sequence[Finding]) -> list[Picture]:
    """The pictures of a case's findings, in their order; none where its image can't be read."""
    try:
        image = read_image(path)
    except CaseError:
        return []
    labels: LabelMap = np.zeros(image.array.shape, np.uint8)
    if dataset.labels:
        with suppress(CaseError):  # the finding says why
            labels = read_labels(dataset.label(case), image)
    ids = {organ: i for i, organ in dataset.labels.items()}
    return [_draw(image, labels, ids.get(finding.organ), finding) for finding in findings]


def _draw(image: Volume, labels: LabelMap, organ: int | None, finding: Finding) -> Picture:
    place = finding.place or _choose_place(labels, organ)
    axis, index = place.axis, place.voxel[place.axis]
    size = _size_in_pixels(image, axis)
    low, high = SOFT_TISSUE_HU
    grey = (np.take(image.array, index, axis).astype(np.float32).clip(low, high) - low) / (high - low) * (GREYS - 1)
    pixels = np.array(Image.fromarray(_turn(np.rint(grey)).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
    shown = np.array(Image.fromarray(_turn(np.take(labels, index, axis))).resize(size, Image.Resampling.NEAREST))
    pixels[_outline((shown > 0) & (shown != (organ or 0)), shown, 1)] = CYAN_INDEX
    if organ is not None:
        pixels[_outline(shown == organ, shown, 2)] = YELLOW_INDEX
    picture = Image.fromarray(pixels, "P")
    picture.putpalette(bytes(PALETTE))
    if finding.place:
        _draw_ring(picture, image, place)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    about = f" with the outline of {finding.organ}" if organ is not None else ""
    return Picture(content.getvalue(), f"{NAMES[axis]} slice {index} of {finding.case}{about}")


def _choose_place(labels: LabelMap, organ: int | None) -> Place:
    """The axial slice with most of the organ, or of all organs; the middle one where there are none."""
    counts = np.count_nonzero(labels == organ if organ is not None else labels, axis=(0, 1))
    index = int(counts.argmax()) if counts.any() else labels.shape[2] // 2
    return Place((0, 0, index))


def _size_in_pixels(image: Volume, axis: int) -> tuple[int, int]:
    """Width and height, with the proportions of the patient."""
    columns, rows = _columns_and_rows(axis)
    width, height = (image.array.shape[i] * image.spacing_mm[i] for i in (columns, rows))
    scale = LONG_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _columns_and_rows(axis: int) -> tuple[int, int]:
    """Axes of the array that run along a picture's width and height; both run against it."""
    columns, rows = (other for other in range(3) if other != axis)
    return columns, rows


def _turn(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Turn a plane of a RAS+ array so that it lies as a radiologist sees it."""
    return np.ascontiguousarray(plane.T[::-1, ::-1])


def _outline(mask: NDArray[np.bool_], labels: NDArray[np.generic], width: int) -> NDArray[np.bool_]:
    """The mask's pixels next to another organ or to none."""
    inner = np.ones_like(mask)
    for axis in (0, 1):
        same = np.diff(labels.astype(np.int32), axis=axis) == 0
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        inner &= np.pad(same, pad, constant_values=True)
        pad[axis] = (1, 0)
        inner &= np.pad(same, pad, constant_values=True)
    if width > 1:
        inner = binary_erosion(inner, iterations=width - 1, border_value=1)
    return mask & ~inner


def _draw_ring(picture: Image.Image, image: Volume, place: Place) -> None:
    columns, rows = _columns_and_rows(place.axis)
    x, y = (
        (1 - (place.voxel[axis] + 0.5) / image.array.shape[axis]) * length
        for axis, length in zip((columns, rows), picture.size, strict=True)
    )
    ImageDraw.Draw(picture).ellipse((x - RING, y - RING, x + RING, y + RING), outline=WHITE_INDEX)
