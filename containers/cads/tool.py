"""CADS as a label generator: 167 structures from head to knee.

Modules are loaded when they are needed: nnU-Net takes long to import, and `describe` needs none of it.
"""

import os
from typing import TYPE_CHECKING

from cads_tool.parts import NEEDS, choose_numbers, read_parts

from contract import Case, Cases, Context, LabelMap, run
from contract.devices import choose_device

if TYPE_CHECKING:
    from cads_tool.volume import Model


def load(context: Context) -> "Model":
    """Read the networks, and choose the device."""
    labels = dict(context.manifest.variant(context.arguments.variant).labels)
    shown = choose_numbers(str(context.options["networks"]))
    needed = shown.union(*(NEEDS.get(number, ()) for number in shown))
    parts = [part for part in read_parts(context.weights, labels) if part.number in needed]
    os.environ |= {"nnUNet_compile": "f", "nnUNet_def_n_proc": str(context.threads)}  # read when nnU-Net is imported
    import torch
    from cads_tool.networks import make_deterministic, read_network
    from cads_tool.volume import Model

    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    context.facts["device"] = str(device)
    networks = [read_network(part, device) for part in parts]
    make_deterministic(context.threads)
    return Model(networks, shown, labels)


def segment(model: "Model", case: Case) -> LabelMap:
    """Segment all structures."""
    from cads_tool.volume import segment_volume

    return segment_volume(model, case)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
