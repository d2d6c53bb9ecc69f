"""A volume slice by slice: make pictures and boxes, and put the masks back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from medsam_tool.overlap import merge_masks
from medsam_tool.parts import remove_small_parts
from medsam_tool.pictures import Rectangle, body_rectangle, from_picture, to_picture
from medsam_tool.prompts import BoxRule, Prompt, make_prompts
from medsam_tool.segmenter import Flavour, Picture, Segmenter
from medsam_tool.windowing import apply_window


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the tool.

    Attributes:
        level_hu: centre of the CT window.
        width_hu: width of the CT window.
        crop: show the network only the body's rectangle, or whole slices.
        boxes: how boxes are drawn.
        seed: of the boxes' jitter.
        min_volume: connected parts of an organ with fewer voxels get no box.
        slices_per_pass: slices that the image encoder takes at once.
    """

    level_hu: float
    width_hu: float
    crop: Literal["body", "none"]
    boxes: BoxRule
    seed: int
    min_volume: int = 1
    slices_per_pass: int = 1


def read_settings(options: Mapping[str, OptionValue], flavour: Flavour) -> Settings:
    """Read the options as they are meant for a flavour."""
    crop = flavour.CROP if options["crop"] == "auto" else options["crop"]
    rule = BoxRule(
        around="organ" if options["boxes"] == "organ" else "component",
        corners="index" if options["box-corners"] == "index" else "outer",
        min_area=int(options["min-area"]),
        margin=float(options["box-margin"]),
        jitter=int(options["box-jitter"]),
    )
    return Settings(
        level_hu=float(options["window-level"]),
        width_hu=float(options["window-width"]),
        crop="none" if crop == "none" else "body",
        boxes=rule,
        seed=int(options["seed"]),
        min_volume=int(options["min-volume"]),
        slices_per_pass=int(options["slices-per-pass"]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class PromptedSlice:
    """A slice that has prompts, as it is shown to the network.

    Attributes:
        z: which slice.
        part: of the slice.
        picture: of the part.
        prompts: at least one.
    """

    z: int
    part: Rectangle
    picture: Picture
    prompts: list[Prompt]


def segment_volume(segmenter: Segmenter, case: Case, settings: Settings) -> LabelMap:
    """Segment the slices that hold reference labels.

    Returns:
        (X, Y, Z) label map on the image's voxels. Slices without a prompt stay background and are never shown to the
        network.
    """
    if case.labels is None:
        raise CaseError(f"{case.name}: labels must be there to draw boxes from, but are not")
    result = np.zeros_like(case.labels)
    slices = prompted_slices(segmenter.flavour, case, remove_small_parts(case.labels, settings.min_volume), settings)
    while batch := list(islice(slices, settings.slices_per_pass)):
        pictures, boxes = [shown.picture for shown in batch], [[p.box for p in shown.prompts] for shown in batch]
        for shown, probabilities in zip(batch, segmenter(pictures, boxes), strict=True):
            labels = merge_masks(probabilities, [prompt.label for prompt in shown.prompts])
            result[:, :, shown.z][shown.part] = from_picture(labels)
    return result


def prompted_slices(flavour: Flavour, case: Case, reference: LabelMap, settings: Settings) -> Iterator[PromptedSlice]:
    """The slices that have prompts, from the feet up.

    Args:
        flavour: of the network that they are made for.
        case: its image is shown.
        reference: (X, Y, Z) reference labels that boxes are drawn around.
        settings: how.
    """
    for z in np.flatnonzero(reference.any(axis=(0, 1))).tolist():
        hu, labels = case.image.array[:, :, z], reference[:, :, z]
        part = body_rectangle(hu, labels) if settings.crop == "body" else np.s_[:, :]
        picture = to_picture(apply_window(hu[part], settings.level_hu, settings.width_hu))
        random = partial(_random, case, settings.seed, z)
        prompts = make_prompts(to_picture(labels[part]), flavour.fit(*picture.shape), settings.boxes, random)
        if prompts:
            yield PromptedSlice(z, part, picture, prompts)


def _random(case: Case, seed: int, z: int, label: int) -> np.random.Generator:
    """Random numbers of one organ in one slice; `z` counts from the feet, in RAS+."""
    return case.random(seed, "box-jitter", f"label {label}", f"slice {z}")
