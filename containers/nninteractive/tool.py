"""nnInteractive as a label generator: a box or point of each organ of the dataset's labels is its prompt.

Modules are loaded when they are needed: nnInteractive takes long to import, and `describe` needs none of it.
"""

from typing import TYPE_CHECKING

from contract import Case, Cases, Context, LabelMap, run

if TYPE_CHECKING:
    from nninteractive_tool.volume import Model


def load(context: Context) -> "Model":
    """Make the network ready on the device that was asked for."""
    from nninteractive_tool.session import chosen_device, load_session
    from nninteractive_tool.volume import Model, settings

    device = chosen_device(context.arguments.device)
    context.facts["device"] = str(device)
    checkpoint = next(path for file, path in context.weights.items() if file.endswith(".pth"))
    chosen = settings(context.options)
    return Model(load_session(checkpoint.parents[1], device, context.threads, autozoom=chosen.autozoom), chosen)


def segment(model: "Model", case: Case) -> LabelMap:
    """Segment every organ that the labels hold."""
    from nninteractive_tool.volume import segment_volume

    return segment_volume(model, case)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
