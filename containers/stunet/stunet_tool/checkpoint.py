"""Read a published `.model` file, which nnU-Net 1.7's trainer wrote, without running code that may be in it.

Such a file is a pickle: it could run any program. Only tensors, plain values and the numpy numbers of the training
history are allowed. The file is mapped into memory, not read: half of it is the optimiser's state, which is not needed.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from contract import UsageError
from contract.pickles import plain_data_only
from stunet_tool.network import Shape, STUNet

ADVICE = "remove it and fetch the weights again"
Parameters = Mapping[str, torch.Tensor]


def load_network(file: Path, classes: int) -> STUNet:
    """Load the network that a file was saved from, in evaluation mode.

    Args:
        file: a `.model` file; width and depth are read from it.
        classes: that it must have, background included.

    Raises:
        UsageError: it is no such file, or of another network.
    """
    parameters = _read_parameters(file)
    shape = _read_shape(file, parameters)
    if shape.classes != classes:
        raise UsageError(f"{file}: network must have {classes} outputs, as the label table, but has {shape.classes}")
    with torch.device("meta"):
        network = STUNet(shape)
    _check_parameters(file, parameters, network.state_dict())
    network.load_state_dict(parameters, strict=True, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def _read_parameters(file: Path) -> Parameters:
    """Read the parameters in a file, without the `module.` that training on several GPUs puts before their names."""
    with plain_data_only(file, torch.serialization.safe_globals, ADVICE):
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(
            f"{file}: weights must be a dictionary with the tensors of `state_dict`, but are not; {ADVICE}"
        )
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _read_shape(file: Path, parameters: Parameters) -> Shape:
    """Read width, depth and classes of a network from its parameters."""
    first, head = parameters.get("conv_blocks_context.0.0.conv1.weight"), parameters.get("seg_outputs.4.weight")
    if first is None or head is None or not first.ndim == head.ndim == 5:
        raise UsageError(
            f"{file}: weights must be of STU-Net, but its first or its last convolution is not among them; {ADVICE}"
        )
    depth = len({key.split(".")[2] for key in parameters if key.startswith("conv_blocks_context.0.")})
    return Shape(width=first.shape[0], depth=depth, classes=head.shape[0])


def _check_parameters(file: Path, actual: Parameters, expected: Parameters) -> None:
    """Compare names, shapes and types; the error lists what differs."""
    names = {
        "missing": sorted(expected.keys() - actual.keys()),
        "not of this network": sorted(actual.keys() - expected.keys()),
        "of another shape": sorted(k for k in expected.keys() & actual.keys() if expected[k].shape != actual[k].shape),
        "not float32": sorted(key for key, value in actual.items() if value.dtype != torch.float32),
    }
    wrong = [f"{len(keys)} {what} ({keys[0]}{', …' if keys[1:] else ''})" for what, keys in names.items() if keys]
    if wrong:
        raise UsageError(
            f"{file}: weights must fit STU-Net exactly, but parameters are wrong: {'; '.join(wrong)}; {ADVICE}"
        )
