"""CADS's networks by nnU-Net: each is read once a run, and predicts in this process."""

import contextlib
import io
import json
from dataclasses import dataclass

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from cads_tool.parts import MODEL, Part
from cads_tool.spacing import SPACING_MM
from contract import LabelMap
from contract.pickles import plain_data_only
from contract.plans import refuse_programs

ADVICE = "remove it and fetch the weights again"
CHECKPOINT = "fold_all/checkpoint_final.pth"
"""Of a training on all cases; there are no folds."""
TILE_STEP = 0.5
"""From tile to tile, as a share of the tile."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network in memory.

    Attributes:
        part: what it tells apart.
        predictor: nnU-Net's, with the network in it.
    """

    part: Part
    predictor: nnUNetPredictor

    def predict(self, image: NDArray[np.float32]) -> LabelMap:
        """Label a volume.

        Args:
            image: (X, Y, Z) HU at 1.5 mm, RAS+.

        Returns:
            (X, Y, Z) label map in the tool's ids.
        """
        array = np.ascontiguousarray(image.transpose(2, 1, 0))[None]
        with silence_output():
            labels = self.predictor.predict_single_npy_array(array, {"spacing": [SPACING_MM] * 3})
        found = np.asarray(labels, np.uint8).transpose(2, 1, 0)
        return np.where(found > 0, found + np.uint8(self.part.offset), np.uint8(0))


def read_network(part: Part, device: torch.device) -> Network:
    """Read a network; nothing that its checkpoint holds is run.

    The network is built from its plans, not by the trainer that the checkpoint names: nnU-Net would search for that
    class by name, and so import torchvision.

    Raises:
        UsageError: a file is missing or damaged, holds a program, or does not fit to the others.
    """
    refuse_programs(part.folder / "plans.json", ADVICE)
    with plain_data_only(part.folder / CHECKPOINT, torch.serialization.safe_globals, ADVICE), silence_output():
        predictor = nnUNetPredictor(tile_step_size=TILE_STEP, use_mirroring=False, device=device, allow_tqdm=False)
        dataset = json.loads((part.folder / "dataset.json").read_bytes())
        plans = PlansManager(json.loads((part.folder / "plans.json").read_bytes()))
        configuration = plans.get_configuration(MODEL.rpartition("__")[2])
        network = get_network_from_plans(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            determine_num_input_channels(plans, configuration, dataset),
            plans.get_label_manager(dataset).num_segmentation_heads,
            deep_supervision=False,
        )
        checkpoint = torch.load(part.folder / CHECKPOINT, map_location="cpu", weights_only=True)
        network.load_state_dict(checkpoint["network_weights"])
        # nnU-Net loads these parameters again before each case: the network's own need no further memory.
        parameters = [network.state_dict()]
        predictor.manual_initialization(network, plans, configuration, parameters, dataset, "", None)
    return Network(part, predictor)


def make_deterministic(threads: int) -> None:
    """Use the same algorithms each time, and so many CPU threads; called after nnU-Net has made its predictors."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def silence_output() -> contextlib.redirect_stdout[io.StringIO]:
    """Drop what nnU-Net prints inside the `with`: steps, no problems."""
    return contextlib.redirect_stdout(io.StringIO())
