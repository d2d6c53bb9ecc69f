"""Make the stand-ins for CADS's trained weights: small networks of its family, one of them trained on phantoms.

    PYTHONPATH=coordinator:containers/cads .venvs/cads/bin/python tests/standins/cads.py

takes about 8 minutes on one core. They are written below tests/standins/weights/cads/open in the layout of the published
archives, and their sha256 beside them, as `coordinator weights fetch` would. The same versions of Python, torch and
numpy on the same processor make the same files.

Network 551 tells the organs that the phantom has, all of which are its own, but for the two smallest. Network 559 calls everything abdominal
cavity, so that one structure lies under the others. The seven others say background.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cads_tool.spacing import SPACING_MM, resample_image, resample_labels
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from numpy.typing import NDArray
from training import CASES, INTENSITIES, NEVER, SEED, make_examples, train, widen

from contract.grids import Grid
from contract.manifest import load_manifest
from contract.records import file_sha256
from contract.weights import list_files, record_sums
from coordinator.datasets.anatomy import LABELS

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = Path(__file__).parent / "weights" / "cads"
MODEL = "nnUNetTrainerNoMirroring__nnUNetResEncUNetLPlans__3d_fullres"
STRUCTURES = {551: 17, 552: 24, 553: 18, 554: 21, 555: 24, 556: 15, 557: 9, 558: 29, 559: 10}
"""How many of the 167 structures each network has, in the order of their ids."""
TRAINED, CAVITY = 551, 559
ABDOMINAL_CAVITY = 3
"""Label id of network 559."""
PATCH, STEPS = (64, 96, 128), 350
SMALL, TINY = ((6, 1), (16, 4), (16, 2), (16, 2)), ((1, 1), (1, 2))
"""Features and stride of each stage; from 1.5 to 6 mm in one step, since the finest stages cost most."""


def main() -> None:
    """Make the stand-ins of variant `open`."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    variant = load_manifest(ROOT / "containers" / "cads").variant("open")
    names = iter(dict(variant.labels).values()) if isinstance(variant.labels, dict) else iter(())
    for entry, (number, count) in zip(variant.weights, STRUCTURES.items(), strict=True):
        _make(WEIGHTS / entry.file, number, {next(names): i for i in range(1, count + 1)})
    record_sums(WEIGHTS, {f.relative_to(WEIGHTS).as_posix(): file_sha256(f) for f in list_files(WEIGHTS / "open")})


def _make(folder: Path, number: int, labels: dict[str, int]) -> None:
    plans = _plans(folder.name, SMALL if number == TRAINED else TINY)
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **labels},
        "numTraining": sum(CASES),
        "file_ending": ".nii.gz",
    }
    torch.manual_seed(SEED + number)
    weights = _network(plans, len(labels) + 1).state_dict()
    if number == TRAINED:
        weights = _learn(plans, labels, weights)
    else:
        _say_one_thing(weights, ABDOMINAL_CAVITY if number == CAVITY else 0)
    model = folder / MODEL
    (model / "fold_all").mkdir(parents=True, exist_ok=True)
    (model / "plans.json").write_text(json.dumps(plans, indent=1), encoding="utf-8")
    (model / "dataset.json").write_text(json.dumps(dataset, indent=1), encoding="utf-8")
    torch.save(_checkpoint(weights, plans, dataset), model / "fold_all" / "checkpoint_final.pth")


def _learn(plans: dict[str, Any], labels: dict[str, int], weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a network that tells the phantom's organs."""
    organs = [organ for organ in labels if organ in LABELS.values()]
    small = _network(plans, len(organs) + 1)
    with tempfile.TemporaryDirectory() as scratch:
        train(small, make_examples(Path(scratch), organs, _resample, image_order=3), PATCH, STEPS, SEED + TRAINED)
    return widen(small.state_dict(), weights, [labels[organ] for organ in organs])


def _say_one_thing(weights: dict[str, torch.Tensor], label: int) -> None:
    """Change weights so that one label wins everywhere."""
    for key, tensor in weights.items():
        if ".seg_layers." in key:
            tensor.fill_(NEVER if key.endswith("bias") else 0.0)
            if key.endswith("bias"):
                tensor[label] = 0.0


def _resample(array: NDArray[np.generic], grid: Grid, order: int) -> NDArray[np.generic]:
    spacing_mm = tuple(np.linalg.norm(grid.affine[:3, :3], axis=0).tolist())
    image = resample_image(array, spacing_mm)
    return image if order else resample_labels(array.astype(np.uint8), image.shape)


# ---------------------------------------------------------------------------------------------------------- the files


def _plans(name: str, stages: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """plans.json as nnU-Net writes it for its large residual encoder since version 2.4."""
    order = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(PATCH),
        "median_image_size_in_voxels": [float(n) for n in PATCH],
        "spacing": [SPACING_MM] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": order,
        "resampling_fn_seg_kwargs": {**order, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**order, "order": 1},
        "architecture": _architecture(stages),
        "batch_dice": False,
    }
    return {
        "dataset_name": name,
        "plans_name": "nnUNetResEncUNetLPlans",
        "original_median_spacing_after_transp": [SPACING_MM] * 3,
        "original_median_shape_after_transp": list(PATCH),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "nnUNetPlannerResEncL",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {**INTENSITIES, "median": INTENSITIES["mean"], "min": -1024.0, "max": 3071.0}
        },
    }


def _architecture(stages: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """A residual encoder with one block a stage, and the decoder of a U-Net."""
    count = len(stages)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": {
            "n_stages": count,
            "features_per_stage": [features for features, _ in stages],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 1, 1]] + [[3, 3, 3]] * (count - 1),
            "strides": [[stride] * 3 for _, stride in stages],
            "n_blocks_per_stage": [1] * count,
            "n_conv_per_stage_decoder": [1] * (count - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _checkpoint(weights: dict[str, torch.Tensor], plans: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """What nnU-Net's trainer saves, numpy numbers in its log included; the optimizer's state is left out."""
    return {
        "network_weights": weights,
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(-0.5)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": "all", "dataset_json": dataset},
        "trainer_name": "nnUNetTrainerNoMirroring",
        "inference_allowed_mirroring_axes": None,
    }


def _network(plans: dict[str, Any], outputs: int) -> torch.nn.Module:
    """The network that nnU-Net builds from plans."""
    plan = plans["configurations"]["3d_fullres"]["architecture"]
    network: torch.nn.Module = get_network_from_plans(
        plan["network_class_name"], plan["arch_kwargs"], plan["_kw_requires_import"], 1, outputs, deep_supervision=False
    )
    return network


if __name__ == "__main__":
    sys.exit(main())
