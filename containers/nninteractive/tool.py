"""nnInteractive as a label generator: boxes or points in the reference labels are its prompts.

Modules are loaded when they are needed: nnInteractive takes long to import, and `describe` needs none of it.
"""

from typing import TYPE_CHECKING

from contract import Case, Cases, Context, LabelMap, run
from contract.devices import choose_device

if TYPE_CHECKING:
    from nninteractive_tool.volume import Model


def load(context: Context) -> "Model":
    """Load the network onto the device."""
    import torch
    from nninteractive_tool.session import load_session
    from nninteractive_tool.volume import Model, read_settings

    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    context.facts["device"] = str(device)
    checkpoint = next(path for file, path in context.weights.items() if file.endswith(".pth"))
    settings = read_settings(context.options)
    return Model(load_session(checkpoint.parents[1], device, context.threads, autozoom=settings.autozoom), settings)


def segment(model: "Model", case: Case) -> LabelMap:
    """Segment every organ that the reference labels hold."""
    from nninteractive_tool.volume import segment_volume

    return segment_volume(model, case)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
