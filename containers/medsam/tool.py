"""MedSAM as a label generator: boxes around the reference labels are its prompts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from medsam_tool import lite, vit_b
from medsam_tool.segmenter import Flavour, Segmenter, load_segmenter
from medsam_tool.stack import Settings, read_settings, segment_volume

from contract import Case, Cases, Context, LabelMap, run
from contract.devices import choose_device

FLAVOURS: Mapping[str, Flavour] = {"lite": lite, "vit-b": vit_b}
"""By variant of the manifest."""


@dataclass(frozen=True, slots=True)
class Model:
    """What stays in memory from case to case.

    Attributes:
        segmenter: the network.
        settings: the options.
        facts: of `run.json`.
        passes: case -> how many of its slices went through the image encoder.
    """

    segmenter: Segmenter
    settings: Settings
    facts: dict[str, object]
    passes: dict[str, int] = field(default_factory=dict)

    def record_passes(self) -> None:
        """Record in `run.json` what the image encoder did in this run; earlier runs are not counted."""
        self.facts["encoder_passes"] = {"this_run": self.segmenter.passes, "cases": dict(self.passes)}


def load(context: Context) -> Model:
    """Load the variant's network onto the device."""
    flavour = FLAVOURS[context.arguments.variant]
    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    context.facts["device"] = str(device)
    segmenter = load_segmenter(flavour, context.weights[flavour.WEIGHTS], device, context.threads)
    model = Model(segmenter, read_settings(context.options, flavour), context.facts)
    model.record_passes()
    return model


def segment(model: Model, case: Case) -> LabelMap:
    """Segment every slice that holds reference labels."""
    before = model.segmenter.passes
    labels = segment_volume(model.segmenter, case, model.settings)
    model.passes[case.name] = model.segmenter.passes - before
    model.record_passes()
    return labels


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
