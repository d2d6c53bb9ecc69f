"""Box prompts from reference labels: which boxes a picture gets, and how much they are enlarged.

mask of a label ── connected parts ── without small ones ── box ── scaled to the network ── margin ── jitter ── clip
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from contract import LabelMap
from medsam_tool.fit import Box, Fit

RandomOfLabel = Callable[[int], np.random.Generator]
"""Label id -> random numbers of this label in this slice; they do not depend on what is drawn for others."""

ANY_NEIGHBOUR = np.ones((3, 3), dtype=bool)
UNITS = 256
"""Margin and jitter are counted in 256ths of the network's input, so that they mean the same to all flavours."""


@dataclass(frozen=True, slots=True)
class BoxRule:
    """How boxes are drawn.

    Attributes:
        around: one box around each connected part (8 neighbours) of an organ in a slice, or one around all of them.
        corners: a box ends with the last of the network's pixels that show its last labelled pixel (outer), as in
            MedSAM's training, or at that pixel's index times the scale (index), as in MedSAM_Inference.py.
        min_area: connected parts with fewer pixels of the slice get no box.
        margin: enlarges every side, in 256ths of the network's input: pixels of LiteMedSAM's, 4 pixels of MedSAM's.
        jitter: enlarges each side by its own random whole number of the network's pixels as well, from 0 to this many
            256ths of its input.
    """

    around: Literal["component", "organ"]
    corners: Literal["outer", "index"]
    min_area: int
    margin: float
    jitter: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A box, and the label that it stands for.

    Attributes:
        label: id.
        box: in pixels of the network's input.
    """

    label: int
    box: Box


def make_prompts(reference: LabelMap, fit: Fit, rule: BoxRule, random: RandomOfLabel) -> list[Prompt]:
    """Draw the boxes of one picture.

    Args:
        reference: (rows, columns) label ids; 0 is background.
        fit: of the picture.
        rule: how boxes are drawn.
        random: for the jitter; called once for each label.

    Returns:
        Prompts in order of label id, parts of a label in order of their first pixel; empty where nothing is large
        enough.
    """
    prompts = []
    scale = fit.scale_box if rule.corners == "outer" else fit.scale_corners
    for label in np.unique(reference[reference > 0]).tolist():
        numbers = random(label)
        for box in mask_boxes(reference == label, rule):
            prompts.append(Prompt(label, _perturb_box(scale(box), fit, rule, numbers)))
    return prompts


def mask_boxes(mask: NDArray[np.bool_], rule: BoxRule) -> list[Box]:
    """Boxes around a mask, in its own pixels.

    Args:
        mask: (rows, columns).
        rule: its `around` and `min_area` are used.
    """
    parts, count = ndimage.label(mask, structure=ANY_NEIGHBOUR)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    kept = [part for part in range(1, count + 1) if areas[part] >= rule.min_area]
    if rule.around == "component":
        return [_bounding_box(parts == part) for part in kept]
    return [_bounding_box(np.isin(parts, kept))] if kept else []


def _bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Smallest box around a mask that has a pixel."""
    rows, columns = np.nonzero(mask)
    return float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())


def _perturb_box(box: Box, fit: Fit, rule: BoxRule, numbers: np.random.Generator) -> Box:
    """Enlarge a box by the margin and the jitter, and cut it at the picture's edges."""
    pixels = fit.side // UNITS
    jitter = numbers.integers(0, rule.jitter * pixels, size=4, endpoint=True)
    left, top, right, bottom = (rule.margin * pixels + jitter).tolist()
    return fit.clip_box((box[0] - left, box[1] - top, box[2] + right, box[3] + bottom))
