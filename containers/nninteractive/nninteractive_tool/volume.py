"""Segment a case: prompts from the reference labels, masks joined to a label map."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from nninteractive_tool.prompts import Mask, PromptRule, make_prompts
from nninteractive_tool.session import Session, silence_output


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the tool.

    Attributes:
        prompts: how prompts are made.
        autozoom: enlarge the patch while a mask reaches its edge.
    """

    prompts: PromptRule
    autozoom: bool


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What stays in memory from case to case.

    Attributes:
        session: the network.
        settings: the options.
    """

    session: Session
    settings: Settings


def read_settings(options: Mapping[str, OptionValue]) -> Settings:
    """Read the options."""
    rule = PromptRule(
        kind="point" if options["prompt"] == "point" else "box",
        margin=int(options["box-margin"]),
        min_volume=int(options["min-volume"]),
    )
    return Settings(rule, bool(options["autozoom"]))


def segment_volume(model: Model, case: Case) -> LabelMap:
    """Segment each part of each organ, and join the masks.

    The network was trained on volumes in the axes (S, A, R), which nnU-Net's reader makes of any orientation: RAS+
    the other way round.

    Returns:
        (X, Y, Z) label map on the image's voxels.
    """
    if case.labels is None:
        raise CaseError(f"{case.name}: labels must be there to make prompts from, but are not")
    image, reference = case.image.array.T, case.labels.T
    if image.min() == image.max():
        raise CaseError(f"{case.name}: image must show something, but all voxels are {image.min()}")
    result = LabelMerger(np.zeros_like(reference))
    with silence_output():
        model.session.set_image(image)
        for label in np.unique(reference[reference > 0]).tolist():
            result.add(label, _segment_organ(model, reference == label))
    return result.labels.T


def _segment_organ(model: Model, organ: Mask) -> Mask:
    """(Z, Y, X) union of the masks of an organ's parts."""
    mask = np.zeros(organ.shape, dtype=bool)
    for prompt in make_prompts(organ, model.settings.prompts):
        mask |= model.session.segment_prompt(prompt)
    return mask


class LabelMerger:
    """Joins masks: where two overlap the smaller one wins, or the first of two equal ones.

    Attributes:
        labels: (Z, Y, X) label ids so far; 0 at first.
        sizes: label id -> voxels of its mask.
    """

    def __init__(self, labels: LabelMap) -> None:
        self.labels = labels
        self.sizes = np.zeros(int(np.iinfo(labels.dtype).max) + 1, dtype=np.int64)
        self.sizes[0] = labels.size + 1

    def add(self, label: int, mask: Mask) -> None:
        """Add the (Z, Y, X) mask of a label; labels come in the order of their ids."""
        self.sizes[label] = mask.sum()
        self.labels[mask & (self.sizes[self.labels] > self.sizes[label])] = label
