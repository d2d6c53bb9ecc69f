"""MedSAM as a label generator: boxes around the dataset's labels are its prompts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medsam_tool import lite, vit_b
from medsam_tool.segmenter import Flavour, Segmenter, chosen_device, load_segmenter
from medsam_tool.stack import Settings, segment_volume, settings

from contract import Case, Cases, Context, LabelMap, run

FLAVOURS: Mapping[str, Flavour] = {"lite": lite, "vit-b": vit_b}
"""By variant of the manifest."""


@dataclass(frozen=True, slots=True)
class Model:
    """What stays in memory from case to case.

    Attributes:
        segmenter: the network.
        settings: what the options say.
        facts: of `run.json`.
        passes: case -> slices of it that went through the image encoder.
    """

    segmenter: Segmenter
    settings: Settings
    facts: dict[str, object]
    passes: dict[str, int] = field(default_factory=dict)

    def note_passes(self) -> None:
        """Say in `run.json` what the image encoder did in this run; what earlier runs did is not in it."""
        self.facts["encoder_passes"] = {"this_run": self.segmenter.passes, "cases": dict(self.passes)}


def load(context: Context) -> Model:
    """Make the variant's network ready on the device that was asked for."""
    flavour = FLAVOURS[context.arguments.variant]
    device = chosen_device(context.arguments.device)
    context.facts["device"] = str(device)
    segmenter = load_segmenter(flavour, context.weights[flavour.WEIGHTS], device, context.threads)
    model = Model(segmenter, settings(context.options, flavour), context.facts)
    model.note_passes()
    return model


def segment(model: Model, case: Case) -> LabelMap:
    """Segment every slice that holds a label."""
    before = model.segmenter.passes
    labels = segment_volume(model.segmenter, case, model.settings)
    model.passes[case.name] = model.segmenter.passes - before
    model.note_passes()
    return labels


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
