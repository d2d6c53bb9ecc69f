"""A case from labels to labels: prompts out of the reference, masks into a label map."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from contract import Case, CaseError, LabelMap
from contract.manifest import OptionValue
from nninteractive_tool.prompts import Mask, PromptRule, prompts_of
from nninteractive_tool.session import Session, quiet


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of the tool say.

    Attributes:
        prompts: how they are drawn.
        autozoom: look farther while a mask reaches the edge of what was looked at.
    """

    prompts: PromptRule
    autozoom: bool


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What stays in memory from case to case."""

    session: Session
    settings: Settings


def settings(options: Mapping[str, OptionValue]) -> Settings:
    """Read the checked options of the manifest."""
    rule = PromptRule(
        kind="point" if options["prompt"] == "point" else "box",
        margin=int(options["box-margin"]),
        min_volume=int(options["min-volume"]),
    )
    return Settings(rule, bool(options["autozoom"]))


def segment_volume(model: Model, case: Case) -> LabelMap:
    """Ask for each part of each organ, and join what is found.

    The network was trained on volumes in the axes (S, A, R), which nnU-Net's reader makes of any orientation: RAS+
    the other way round.

    Returns:
        (X, Y, Z) label map on the image's voxels.
    """
    if case.labels is None:
        raise CaseError(f"{case.name}: labels must be there to draw prompts from, but are not")
    image, reference = case.image.array.T, case.labels.T
    if image.min() == image.max():
        raise CaseError(f"{case.name}: image must show something, but all voxels are {image.min()}")
    result = LabelMerger(np.zeros_like(reference))
    with quiet():
        model.session.show(image)
        for label in np.unique(reference[reference > 0]).tolist():
            result.add(label, _organ(model, reference == label))
    return result.labels.T


def _organ(model: Model, organ: Mask) -> Mask:
    """(Z, Y, X) what is found where an organ's parts are pointed at."""
    found = np.zeros(organ.shape, dtype=bool)
    for prompt in prompts_of(organ, model.settings.prompts):
        found |= model.session.found(prompt)
    return found


class LabelMerger:
    """Joins masks: the smaller one wins where two meet, the one that came first where two are equal."""

    def __init__(self, labels: LabelMap) -> None:
        self.labels = labels
        self.sizes = np.zeros(int(np.iinfo(labels.dtype).max) + 1, dtype=np.int64)
        self.sizes[0] = labels.size + 1

    def add(self, label: int, mask: Mask) -> None:
        """Add the mask of a label, in order of label ids."""
        self.sizes[label] = mask.sum()
        self.labels[mask & (self.sizes[self.labels] > self.sizes[label])] = label
