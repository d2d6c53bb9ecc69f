"""Tensors of a checkpoint, read without running code that it may hold, and put into a network that they must fit."""

from pathlib import Path

import torch

from contract import UsageError
from contract.pickles import plain_data_only

ADVICE = "remove it and fetch the weights again, or install the tool again where they come with its package"


def read_tensors(weights: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, by name.

    Raises:
        UsageError: it is damaged, or holds anything else.
    """
    with plain_data_only(weights, torch.serialization.safe_globals, ADVICE):
        content = torch.load(weights, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise UsageError(
            f"{weights}: must hold tensors by name, but holds other things, such as the state of a training; "
            "upstream's utils/ckpt_convert.py extracts the tensors"
        )
    return content


def fill_network(network: torch.nn.Module, tensors: dict[str, torch.Tensor], weights: Path, name: str) -> None:
    """Put tensors into a network.

    Args:
        network: to fill.
        tensors: by name.
        weights: where they come from, for the message.
        name: of the network, for the message.

    Raises:
        UsageError: some are missing, of another shape, or not of this network.
    """
    try:
        network.load_state_dict(tensors, strict=True)
    except (KeyError, RuntimeError, TypeError) as error:
        raise wrong_tensors(weights, name, error) from None


def wrong_tensors(weights: Path, name: str, error: Exception) -> UsageError:
    """Make the error that says which tensor is wrong."""
    line = str(error).split("\n\t", 1)[-1].strip().partition("\n")[0][:200]
    reason = f"it has no {error}" if isinstance(error, KeyError) else line
    return UsageError(f"{weights}: must hold the tensors of a {name}, all and no others, but: {reason}; {ADVICE}")
