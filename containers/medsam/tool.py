"""MedSAM as a label generator: LiteMedSAM with boxes around the dataset's labels as prompts."""

from dataclasses import dataclass

from medsam_tool.lite import WEIGHTS, chosen_device, load_lite
from medsam_tool.stack import Segmenter, Settings, segment_volume, settings

from contract import Case, Cases, Context, LabelMap, run


@dataclass(frozen=True, slots=True)
class Model:
    """What stays in memory from case to case."""

    segmenter: Segmenter
    settings: Settings


def load(context: Context) -> Model:
    """Make the network ready on the device that was asked for."""
    device = chosen_device(context.arguments.device)
    context.facts["device"] = str(device)
    return Model(load_lite(context.weights[WEIGHTS], device, context.threads), settings(context.options))


def segment(model: Model, case: Case) -> LabelMap:
    """Segment every slice that holds a label."""
    return segment_volume(model.segmenter, case, model.settings)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
