"""A volume slice by slice: pictures and boxes out of it, masks back into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from medsam_tool.fit import Box, Fit
from medsam_tool.overlap import merged
from medsam_tool.pictures import body_rectangle, from_picture, to_picture
from medsam_tool.prompts import BoxRule, make_prompts
from medsam_tool.windowing import windowed


class Segmenter(Protocol):
    """A network that is prompted with boxes."""

    def __call__(self, picture: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Segment one picture.

        Args:
            picture: (rows, columns) grey values.
            boxes: B boxes, at least one, in pixels of the network's input.

        Returns:
            (B, rows, columns) probabilities on the picture's pixels.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of the tool say.

    Attributes:
        level_hu: centre of the CT window.
        width_hu: width of the CT window.
        crop: show the network the body's rectangle alone, or whole slices.
        boxes: how boxes are drawn.
        seed: of the boxes' jitter.
    """

    level_hu: float
    width_hu: float
    crop: Literal["body", "none"]
    boxes: BoxRule
    seed: int


def settings(options: Mapping[str, OptionValue]) -> Settings:
    """Read the checked options of the manifest."""
    rule = BoxRule(
        around="organ" if options["boxes"] == "organ" else "component",
        min_area=int(options["min-area"]),
        margin=float(options["box-margin"]),
        jitter=int(options["box-jitter"]),
    )
    return Settings(
        level_hu=float(options["window-level"]),
        width_hu=float(options["window-width"]),
        crop="none" if options["crop"] == "none" else "body",
        boxes=rule,
        seed=int(options["seed"]),
    )


def segment_volume(segmenter: Segmenter, case: Case, chosen: Settings) -> LabelMap:
    """Segment the slices that hold reference labels.

    Returns:
        (X, Y, Z) label map on the image's voxels. Slices without a prompt stay background and are never shown to the
        network.
    """
    reference = case.labels
    if reference is None:
        raise CaseError(f"{case.name}: labels must be there to draw boxes from, but are not")
    result = np.zeros_like(reference)
    for z in np.flatnonzero(reference.any(axis=(0, 1))).tolist():
        hu = case.image.array[:, :, z]
        shown = np.s_[:, :] if chosen.crop == "none" else body_rectangle(hu, reference[:, :, z])
        picture = to_picture(windowed(hu[shown], chosen.level_hu, chosen.width_hu))
        organs = to_picture(reference[:, :, z][shown])
        prompts = make_prompts(organs, Fit(*picture.shape), chosen.boxes, partial(_random, case, chosen.seed, z))
        if prompts:
            probabilities = segmenter(picture, [prompt.box for prompt in prompts])
            found = merged(probabilities, [prompt.label for prompt in prompts])
            result[:, :, z][shown] = from_picture(found)
    return result


def _random(case: Case, seed: int, z: int, label: int) -> np.random.Generator:
    """Random numbers of one organ in one slice; `z` counts from the feet, in RAS+."""
    return case.random(seed, "box-jitter", f"label {label}", f"slice {z}")
