"""A volume slice by slice: pictures and boxes out of it, masks back into it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from medsam_tool.overlap import merged
from medsam_tool.parts import without_small_parts
from medsam_tool.pictures import Rectangle, body_rectangle, from_picture, to_picture
from medsam_tool.prompts import BoxRule, Prompt, make_prompts
from medsam_tool.segmenter import Flavour, Picture, Segmenter
from medsam_tool.windowing import windowed


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of the tool say.

    Attributes:
        level_hu: centre of the CT window.
        width_hu: width of the CT window.
        crop: show the network the body's rectangle alone, or whole slices.
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


def settings(options: Mapping[str, OptionValue], flavour: Flavour) -> Settings:
    """Read the checked options of the manifest, as they are meant for a flavour."""
    crop = flavour.CROP if options["crop"] == "auto" else options["crop"]
    rule = BoxRule(
        around="organ" if options["boxes"] == "organ" else "component",
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
class Shown:
    """A slice that has prompts, as the network is shown it.

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


def segment_volume(segmenter: Segmenter, case: Case, chosen: Settings) -> LabelMap:
    """Segment the slices that hold reference labels.

    Returns:
        (X, Y, Z) label map on the image's voxels. Slices without a prompt stay background and are never shown to the
        network.
    """
    if case.labels is None:
        raise CaseError(f"{case.name}: labels must be there to draw boxes from, but are not")
    result = np.zeros_like(case.labels)
    slices = shown_slices(segmenter.flavour, case, without_small_parts(case.labels, chosen.min_volume), chosen)
    while some := list(islice(slices, chosen.slices_per_pass)):
        pictures, boxes = [one.picture for one in some], [[p.box for p in one.prompts] for one in some]
        for one, probabilities in zip(some, segmenter(pictures, boxes), strict=True):
            found = merged(probabilities, [prompt.label for prompt in one.prompts])
            result[:, :, one.z][one.part] = from_picture(found)
    return result


def shown_slices(flavour: Flavour, case: Case, reference: LabelMap, chosen: Settings) -> Iterator[Shown]:
    """The slices that have prompts, from the feet up.

    Args:
        flavour: of the network that they are made for.
        case: its image is shown.
        reference: (X, Y, Z) labels that boxes are drawn around.
        chosen: how.
    """
    for z in np.flatnonzero(reference.any(axis=(0, 1))).tolist():
        hu, labels = case.image.array[:, :, z], reference[:, :, z]
        part = body_rectangle(hu, labels) if chosen.crop == "body" else np.s_[:, :]
        picture = to_picture(windowed(hu[part], chosen.level_hu, chosen.width_hu))
        random = partial(_random, case, chosen.seed, z)
        prompts = make_prompts(to_picture(labels[part]), flavour.fit(*picture.shape), chosen.boxes, random)
        if prompts:
            yield Shown(z, part, picture, prompts)


def _random(case: Case, seed: int, z: int, label: int) -> np.random.Generator:
    """Random numbers of one organ in one slice; `z` counts from the feet, in RAS+."""
    return case.random(seed, "box-jitter", f"label {label}", f"slice {z}")
