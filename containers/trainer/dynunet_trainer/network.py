"""MONAI's DynUNet, built from a plan, and its weights as plain tensors."""

from collections.abc import Mapping

import torch
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from contract.errors import UsageError
from dynunet_trainer.plan import Plan


def build_network(plan: Plan, channels: int, *, deep_supervision: bool) -> nn.Module:
    """Make a DynUNet with Kaiming weights from torch's random numbers.

    Args:
        plan: kernels, strides and filters.
        channels: of the output, background included.
        deep_supervision: whether lower resolutions have output heads.
    """
    network: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=channels,
        kernel_size=plan.kernels,
        strides=plan.strides,
        upsample_kernel_size=plan.strides[1:],
        filters=plan.filters,
        deep_supervision=deep_supervision,
        deep_supr_num=plan.heads,
    )
    return network


def compute_outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Compute scores at full resolution, then of each head at its own.

    DynUNet's own `forward` enlarges all heads to full size and stacks them: a gigabyte for a patch of 128 cubed, which
    the loss does not need.

    Args:
        network: of `build_network`.
        images: (B, 1, X, Y, Z) normalised.

    Returns:
        (B, C, X, Y, Z) scores, then (B, C, X/2, …) and so on where there is deep supervision.
    """
    full: Tensor = network.output_block(network.skip_layers(images))  # type: ignore[operator]
    heads = list(network.heads) if network.deep_supervision else []  # type: ignore[arg-type]
    return [full, *heads]


def named_weights(network: nn.Module) -> dict[str, Tensor]:
    """All weights by name, each once (DynUNet's `state_dict` lists them twice), on the CPU."""
    return {name: weight.detach().cpu() for name, weight in network.named_parameters()}


def is_head(name: str) -> bool:
    """Whether a weight belongs to an output, and so depends on the classes."""
    return name.startswith(("output_block", "deep_supervision_heads", "heads"))


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a network.

    Raises:
        UsageError: they are of another network.
    """
    parameters = dict(network.named_parameters())
    expected = {name: parameter.shape for name, parameter in parameters.items()}
    if {name: weight.shape for name, weight in weights.items()} != expected:
        raise UsageError("weights must be of the network that the plan describes, but have other names or shapes")
    with torch.no_grad():
        for name, weight in weights.items():
            parameters[name].copy_(weight)
