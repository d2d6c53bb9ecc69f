"""Make the stand-ins for TotalSegmentator's trained weights: small networks of its family, trained on phantoms.

    PYTHONPATH=coordinator .venvs/totalseg/bin/python tests/standins/totalseg.py [MODEL …]

MODEL is a number such as 297; without, all seven are made, in about 40 minutes on one core. They are written below
tests/standins/weights/totalseg in the layout of the published archives, in the plans format in which those were
published, and their sha256 beside them, as `coordinator weights fetch` would. The same versions of Python, torch and
numpy on the same processor make the same files.

A network tells the organs that the phantom has; for all others it has outputs that never win.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray
from totalsegmentator.libs import TASK_ID_WEIGHTS_CONFIGS
from totalsegmentator.map_to_binary import class_map, class_map_5_parts, map_taskid_to_partname_ct
from totalsegmentator.resampling import change_spacing
from training import CASES, INTENSITIES, SEED, make_examples, train, widen

from contract.grids import Grid
from contract.records import file_sha256
from contract.weights import list_files, record_sums
from coordinator.datasets.anatomy import LABELS

WEIGHTS = Path(__file__).parent / "weights" / "totalseg"
PARTS, FAST = "nnUNetTrainerNoMirroring", "nnUNetTrainer_4000epochs_NoMirroring"


@dataclass(frozen=True, slots=True)
class Standin:
    """One network.

    Attributes:
        trainer: the class that the package looks for.
        spacing_mm: of its input.
        patch: (z, y, x) voxels of a tile, in training and prediction.
        features: of the first and of the widest stage.
        stages: of the encoder; each but the first halves the picture.
        kernel: of the first stage's convolutions, 1 or 3; the finest stage costs most.
        steps: of training; 0 for a network that says background.
    """

    trainer: str
    spacing_mm: float
    patch: tuple[int, int, int]
    features: tuple[int, int]
    stages: int
    kernel: int
    steps: int


NOTHING = Standin(PARTS, 1.5, (64, 96, 112), (1, 1), 2, 3, 0)
STANDINS = {
    291: Standin(PARTS, 1.5, (64, 96, 128), (8, 16), 6, 1, 700),
    292: NOTHING,
    293: Standin(PARTS, 1.5, (48, 80, 80), (8, 8), 5, 3, 300),
    294: NOTHING,
    295: NOTHING,
    297: Standin(FAST, 3.0, (32, 64, 64), (8, 16), 5, 3, 700),
    298: Standin(FAST, 6.0, (32, 48, 64), (8, 16), 4, 3, 700),
}


def main(models: list[int]) -> None:
    """Make the stand-ins of some models."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            _make(model, STANDINS[model], Path(scratch))


def _make(model: int, standin: Standin, scratch: Path) -> None:
    started = time.monotonic()
    name = TASK_ID_WEIGHTS_CONFIGS[model]["foldername"]
    classes = class_map_5_parts[map_taskid_to_partname_ct[model]] if model < 296 else class_map["total"]
    trained = {i: organ for i, organ in classes.items() if organ in LABELS.values()}
    plans, dataset = _plans(name, standin), _dataset(classes)
    torch.manual_seed(SEED + model)
    small = _network(plans, len(trained) + 1)
    if standin.steps:
        resample = partial(_resample, spacing_mm=standin.spacing_mm)
        examples = make_examples(scratch, list(trained.values()), resample, image_order=1)
        train(small, examples, standin.patch, standin.steps, SEED + model)
    weights = widen(small.state_dict(), _network(plans, len(classes) + 1).state_dict(), list(trained))
    folder = WEIGHTS / name / f"{standin.trainer}__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=1), encoding="utf-8")
    torch.save(_checkpoint(weights, standin, plans, dataset), folder / "fold_0" / "checkpoint_final.pth")
    record_sums(WEIGHTS, {f.relative_to(WEIGHTS).as_posix(): file_sha256(f) for f in list_files(WEIGHTS / name)})
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201


# ---------------------------------------------------------------------------------------------------------- the files


def _plans(name: str, standin: Standin) -> dict[str, Any]:
    """plans.json as nnU-Net 2.0 wrote it: the network by its old keys."""
    strides = [[1, 1, 1]] + [[2, 2, 2]] * (standin.stages - 1)
    order = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(standin.patch),
        "median_image_size_in_voxels": [float(n) for n in standin.patch],
        "spacing": [standin.spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": standin.features[0],
        "n_conv_per_stage_encoder": [1] * standin.stages,
        "n_conv_per_stage_decoder": [1] * (standin.stages - 1),
        "num_pool_per_axis": [standin.stages - 1] * 3,
        "pool_op_kernel_sizes": strides,
        "conv_kernel_sizes": [[standin.kernel] * 3] + [[3, 3, 3]] * (standin.stages - 1),
        "unet_max_num_features": standin.features[1],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": order,
        "resampling_fn_seg_kwargs": {**order, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**order, "order": 1},
        "batch_dice": False,
    }
    return {
        "dataset_name": name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [standin.spacing_mm] * 3,
        "original_median_shape_after_transp": list(standin.patch),
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {**INTENSITIES, "median": INTENSITIES["mean"], "min": -1024.0, "max": 3071.0}
        },
    }


def _dataset(classes: Mapping[int, str]) -> dict[str, Any]:
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{organ: i for i, organ in classes.items()}},
        "numTraining": sum(CASES),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }


def _checkpoint(
    weights: dict[str, torch.Tensor], standin: Standin, plans: dict[str, Any], dataset: dict[str, Any]
) -> dict[str, Any]:
    """What nnU-Net's trainer saves, numpy numbers in its log included; the optimizer's state is left out."""
    return {
        "network_weights": weights,
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(-0.5)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {
            "plans": plans,
            "configuration": "3d_fullres",
            "fold": 0,
            "dataset_json": dataset,
            "unpack_dataset": True,
            "device": torch.device("cpu"),
        },
        "trainer_name": standin.trainer,
        "inference_allowed_mirroring_axes": None,
    }


def _network(plans: dict[str, Any], outputs: int) -> torch.nn.Module:
    """The network that nnU-Net builds from plans."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration("3d_fullres")
    network: torch.nn.Module = nnUNetTrainer.build_network_architecture(
        manager, configuration, 1, outputs, enable_deep_supervision=False
    )
    return network


def _resample(array: NDArray[np.generic], grid: Grid, order: int, *, spacing_mm: float) -> NDArray[np.int32]:
    """By TotalSegmentator's own function."""
    image = nib.Nifti1Image(array.astype(np.float64), grid.affine)
    return np.asarray(change_spacing(image, [spacing_mm] * 3, order=order, dtype=np.int32).dataobj)


if __name__ == "__main__":
    main([int(model) for model in sys.argv[1:]] or list(STANDINS))
