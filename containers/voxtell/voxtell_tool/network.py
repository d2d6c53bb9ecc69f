"""VoxTell's own network, built from its plans and the shapes of its weights, and safely loaded.

Upstream's predictor states widths as numbers beside the plans, and those of the decoder in the class. Here they are
read from the file of weights, so that a smaller network in the same layout goes the same way.
"""

import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from contract import UsageError
from contract.pickles import plain_data_only
from contract.plans import LAYERS, refuse_programs

ADVICE = "remove it and fetch the weights again"
CONFIGURATION = "3d_fullres"
MEMORY_STAGE = 4
"""The stage of the encoder whose features the prompts attend to."""
Parameters = Mapping[str, torch.Tensor]
Shape3 = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The network, in evaluation mode, and how it is applied.

    Attributes:
        module: (1, 1, *patch) z-scores and (1, N, D) embeddings -> (1, N, *patch) logits.
        patch: (Z, Y, X) voxels of a tile; the network can't take another.
        embedding: D, numbers of an embedding.
        device: where it computes.
    """

    module: torch.nn.Module
    patch: Shape3
    embedding: int
    device: torch.device


def load_network(plans: Path, checkpoint: Path, device: torch.device, threads: int) -> Network:
    """Build the network and fill it with its weights.

    Args:
        plans: nnU-Net's plans.json.
        checkpoint: `network_weights` of the whole network.
        device: where to predict.
        threads: CPU threads.

    Raises:
        UsageError: a file is damaged, holds more than numbers and names, or is of another network.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    patch, architecture = _read_plans(plans)
    parameters = _read_parameters(checkpoint)
    try:
        with torch.device("meta"):
            module = _build(architecture, patch, parameters)
        module.load_state_dict(parameters, strict=True, assign=True)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).replace("\n", " ").replace("\t", "")[:200]
        raise UsageError(
            f"{checkpoint}: weights must be those of the network in {plans.name}, but: {reason}; {ADVICE}"
        ) from None
    module = module.eval().requires_grad_(requires_grad=False).to(device)
    return Network(module, patch, parameters["project_text_embed.0.weight"].shape[1], device)


def _read_plans(file: Path) -> tuple[Shape3, dict[str, Any]]:
    """Patch and architecture; names of torch's layers become the layers.

    Raises:
        UsageError: these are no plans of VoxTell, or they name something else than layers.
    """
    refuse_programs(file, ADVICE)
    try:
        configuration = json.loads(file.read_bytes())["configurations"][CONFIGURATION]
        architecture = dict(configuration["architecture"]["arch_kwargs"])
        for key in configuration["architecture"]["_kw_requires_import"]:
            name = architecture[key]
            architecture[key] = name and getattr(torch.nn, LAYERS[name])
        z, y, x = (int(voxels) for voxels in configuration["patch_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file}: must be the plans of VoxTell, but: {type(error).__name__} {error}; {ADVICE}"
        ) from None
    return (z, y, x), architecture


def _read_parameters(file: Path) -> Parameters:
    with plain_data_only(file, torch.serialization.safe_globals, ADVICE):
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    parameters = content.get("network_weights") if isinstance(content, dict) else None
    if not isinstance(parameters, dict) or not all(isinstance(value, torch.Tensor) for value in parameters.values()):
        raise UsageError(f"{file}: weights must be tensors below `network_weights`, but are not; {ADVICE}")
    return parameters


def _build(architecture: Mapping[str, Any], patch: Shape3, parameters: Parameters) -> torch.nn.Module:
    """VoxTell's network with the widths that its parameters have."""
    from voxtell.model.voxtell_model import VoxTellModel

    features = architecture["features_per_stage"]
    strides = accumulate(architecture["strides"], lambda total, stride: [*map(operator.mul, total, stride)])
    stages = {
        stage: {"channels": channels, "shape": tuple(map(operator.floordiv, patch, stride))}
        for stage, (channels, stride) in enumerate(zip(features, strides, strict=True))
    }
    fused = {key.split(".")[1] for key in parameters if key.startswith("project_to_decoder_channels.")}
    model = type("VoxTell", (VoxTellModel,), {"DECODER_CONFIGS": stages})
    return model(
        1,
        **architecture,
        decoder_layer=MEMORY_STAGE,
        text_embedding_dim=parameters["project_text_embed.0.weight"].shape[1],
        num_maskformer_stages=len(fused),
        num_heads=parameters["project_to_decoder_channels.1.2.weight"].shape[0] // features[1],
        query_dim=parameters["project_text_embed.2.weight"].shape[0],
        project_to_decoder_hidden_dim=parameters["project_to_decoder_channels.0.0.weight"].shape[0],
        deep_supervision=False,
    )
