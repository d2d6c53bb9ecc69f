"""nnU-Net's plans of others: what they name is imported, so they may name only layers and networks that are known."""

import json
from collections.abc import Iterator
from pathlib import Path

from contract.errors import UsageError
from contract.yamlnodes import show_text

_MODULES = {
    "Conv2d": "conv", "Conv3d": "conv", "InstanceNorm2d": "instancenorm", "InstanceNorm3d": "instancenorm",
    "Dropout2d": "dropout", "Dropout3d": "dropout", "LeakyReLU": "activation", "ReLU": "activation",
}  # fmt: skip
"""Layer -> module of `torch.nn.modules`."""
LAYERS = {
    path: layer
    for layer, module in _MODULES.items()
    for path in (f"torch.nn.{layer}", f"torch.nn.modules.{module}.{layer}")
}
"""Name in plans -> name in `torch.nn`."""
NETWORKS = frozenset(
    f"dynamic_network_architectures.architectures.unet.{name}"
    for name in ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
)


def refuse_programs(file: Path, advice: str) -> None:
    """Refuse plans that name anything but layers and networks of nnU-Net, which would be imported and called.

    Args:
        file: plans.json.
        advice: the end of the message: what to do.

    Raises:
        UsageError: it names something else, or is no JSON.
    """
    try:
        names = list(_list_unknown(json.loads(file.read_bytes())))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: must be nnU-Net's plans, but: {type(error).__name__} {error}; {advice}") from None
    if names:
        raise UsageError(
            f"{file}: must name layers and networks of nnU-Net alone, but names {show_text(names[0], 100)}; {advice}"
        )


def _list_unknown(content: object) -> Iterator[str]:
    """Names of networks, and texts among the arguments of networks, that are not known."""
    if isinstance(content, list):
        for value in content:
            yield from _list_unknown(value)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key == "network_class_name":
            yield from (name for name in _list_texts(value) if name not in NETWORKS)
        elif key == "arch_kwargs":
            yield from (name for name in _list_texts(value) if name not in LAYERS)
        else:
            yield from _list_unknown(value)


def _list_texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list | dict):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _list_texts(value)
