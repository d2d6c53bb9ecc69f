"""Step `predict`: labels of an image from a trained model.

image -> model's spacing -> normalised -> windows, weighted by a Gaussian -> scores -> image's voxels -> highest label
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from contract import Case, Context
from contract.devices import choose_device
from contract.errors import CaseError, UsageError
from dynunet_trainer import checkpoint
from dynunet_trainer.devices import make_deterministic
from dynunet_trainer.network import build_network, load_weights
from dynunet_trainer.plan import Plan, parse_plan
from dynunet_trainer.recipe import describe_prediction
from dynunet_trainer.resample import resample_image, resampled_shape
from dynunet_trainer.windows import make_predict, predict_labels


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A trained network.

    Attributes:
        network: in evaluation mode, on the device.
        plan: that it was trained with.
        ids: label id of each channel.
        device: where the network computes; scores are kept in main memory.
        overlap: share of a window that the next one covers too.
    """

    network: nn.Module
    plan: Plan
    ids: NDArray[np.integer]
    device: torch.device
    overlap: float


def load_predictor(context: Context) -> Predictor:
    """Read the model of step `train`.

    Raises:
        UsageError: there is none, or it was trained for other labels than the dataset has.
        CaseError: it did not converge.
    """
    file = context.input_folder("model") / checkpoint.MODEL
    content = checkpoint.load_file(file)
    if content is None:
        raise UsageError(f"{file}: must be the model that step train wrote, but does not exist; train first")
    if content["labels"] != context.dataset.labels:
        raise UsageError(
            f"{file}: must be of a model for the labels of {context.dataset.name}, but is of one for "
            f"{content['labels']}; predict the dataset that it was trained on"
        )
    if content["failure"]:
        raise CaseError(f"{file}: network {content['failure']}; it makes no predictions")
    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    make_deterministic(context.threads)
    overlap = float(context.options["overlap"])
    context.facts.update(device=str(device), recipe=describe_prediction(overlap))
    plan, ids = parse_plan(content["plan"]), np.array([0, *content["labels"]])
    network = build_network(plan, len(ids), deep_supervision=bool(content["deep_supervision"]))
    load_weights(network, content["weights"])
    return Predictor(network.to(device).eval(), plan, ids, device, overlap)


def segment(predictor: Predictor, case: Case) -> NDArray[np.integer]:
    """Predict label ids on the image's voxels.

    Returns:
        (X, Y, Z) ids of the dataset.
    """
    plan, image = predictor.plan, case.image
    shape = resampled_shape(image.grid.shape, image.spacing_mm, plan.spacing_mm)
    normalised = plan.normalisation.apply(resample_image(image.array, shape))
    channels = predict_labels(
        normalised, plan.patch, predictor.overlap, image.grid.shape,
        make_predict(predictor.network, predictor.device), air=plan.normalisation.air,
    )  # fmt: skip
    return predictor.ids[channels]
