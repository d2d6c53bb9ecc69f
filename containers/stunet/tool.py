"""STU-Net as a label generator: 104 organs, bones, muscles and vessels of the whole body."""

import torch
from stunet_tool.checkpoint import load_network
from stunet_tool.devices import make_deterministic
from stunet_tool.inference import Predictor
from stunet_tool.model import Model, segment_volume
from stunet_tool.network import DIVISOR

from contract import Case, CaseError, Cases, Context, LabelMap, UsageError, run
from contract.devices import choose_device


def load(context: Context) -> Model:
    """Load the network onto the device."""
    patch = int(context.options["patch"])
    if patch % DIVISOR:
        raise UsageError(f"--patch must be a multiple of {DIVISOR}, but it is {patch}")
    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    context.facts["device"] = str(device)
    make_deterministic(context.threads)
    classes = len(context.manifest.variant(context.arguments.variant).labels) + 1
    (file,) = context.weights.values()
    network = load_network(file, classes).to(device)
    step, mirroring = float(context.options["step-size"]), bool(context.options["mirroring"])
    return Model(Predictor(network, device, patch, step, mirroring), classes, context.options["mode"] == "fast")


def segment(model: Model, case: Case) -> LabelMap:
    """(X, Y, Z) labels on the image's voxels; the network takes arrays as (z, y, x), as SimpleITK reads them."""
    image = case.image.array.transpose(2, 1, 0)
    if not image.any():
        raise CaseError(f"{case.name}: image must hold voxels other than 0 HU, but does not; exclude the case")
    x_mm, y_mm, z_mm = case.image.spacing_mm
    return segment_volume(model, image, (z_mm, y_mm, x_mm)).transpose(2, 1, 0)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
