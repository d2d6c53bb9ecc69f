"""The plan: spacing, patch, batch size and network, by nnU-Net's own rules, with the values that the user overrides."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)

from contract import UsageError, atomic, log_line
from nnunet_tool.cases import PLANS
from nnunet_tool.environment import nnunet_environment
from nnunet_tool.settings import PlanSettings

PLANNERS = {
    planner.__name__: planner
    for planner in (ExperimentPlanner, nnUNetPlannerResEncM, nnUNetPlannerResEncL, nnUNetPlannerResEncXL)
}

THINNEST_PATCH = 4
"""nnU-Net's blur mirrors up to three voxels at an edge."""

Json = dict[str, Any]


def make_plans(folder: Path, dataset_json: Json, settings: PlanSettings, configuration: str) -> Json:
    """Plan the experiment, and write `dataset.json` and the plans.

    Args:
        folder: of the dataset, in nnU-Net's `nnUNet_preprocessed`; holds the fingerprint.
        dataset_json: nnU-Net's description of the dataset.
        settings: the planner, and the values to override.
        configuration: the one that is trained; only its values are overridden.

    Returns:
        The plans.

    Raises:
        UsageError: the configuration can't be planned for this dataset, or an override doesn't fit.
    """
    with TemporaryDirectory() as raw:
        (Path(raw) / folder.name).mkdir()
        atomic.write_json(Path(raw) / folder.name / "dataset.json", dataset_json)
        with nnunet_environment(augmentation_processes=1, raw=Path(raw), preprocessed=folder.parent):
            _make_planner(folder.name, settings).plan_experiment()
    file = folder / f"{PLANS}.json"
    plans: Json = json.loads(file.read_text(encoding="utf-8"))
    if configuration not in plans["configurations"]:
        raise UsageError(
            f"variant {configuration} must be one of {', '.join(plans['configurations'])} for images like these: "
            "most of them have a single slice; use another variant"
        )
    plan = plans["configurations"][configuration]
    override_plan(plan, plans["transpose_forward"], settings)
    _refuse_thin_patch(plan, plans["transpose_forward"])
    atomic.write_json(file, plans)
    return plans


def _make_planner(dataset: str, settings: PlanSettings) -> ExperimentPlanner:
    memory = {"gpu_memory_target_in_gb": settings.gpu_memory_gb} if settings.gpu_memory_gb else {}
    return PLANNERS[settings.planner](dataset, plans_name=PLANS, **memory)


def override_plan(plan: Json, axes: Sequence[int], settings: PlanSettings) -> None:
    """Put the user's patch, features and batch size into a configuration's plan.

    Args:
        plan: of the configuration; changed in place.
        axes: nnU-Net's `transpose_forward`: which of the axes (Z, Y, X) each axis of the plan is.
        settings: the values to override.

    Raises:
        UsageError: more stages than the patch allows.
    """
    if settings.patch:
        reversed_patch = settings.patch[::-1]
        patch = [reversed_patch[axis] for axis in axes][-len(plan["spacing"]) :]
        _set_patch(plan, patch)
    if settings.features:
        _set_features(plan, settings.features)
    if settings.batch_size:
        plan["batch_size"] = settings.batch_size


def _refuse_thin_patch(plan: Json, axes: Sequence[int]) -> None:
    names = ["zyx"[axis] for axis in axes][-len(plan["spacing"]) :]
    sides = ", ".join(f"{name} {side}" for name, side in zip(names, plan["patch_size"], strict=True))
    if min(plan["patch_size"]) < THINNEST_PATCH:
        raise UsageError(
            f"patch must have at least {THINNEST_PATCH} voxels along each axis of the network, but has {sides}; take "
            "a larger --patch, or the variant 2d where images have too few slices"
        )


def _set_patch(plan: Json, patch: list[int]) -> None:
    """Take a patch, rounded up to a multiple of its strides, and the strides and kernels that nnU-Net gives it."""
    _, strides, kernels, rounded, _ = get_pool_and_conv_props(plan["spacing"], patch, 4, 999_999)
    plan["patch_size"] = [int(n) for n in rounded]
    if plan["patch_size"] != patch:
        log_line(f"patch: {patch} was rounded up to {plan['patch_size']} for the network's strides")
    widths = plan["architecture"]["arch_kwargs"]["features_per_stage"]
    widest, first = max(widths), widths[0]
    features = [min(widest, first * 2**stage) for stage in range(len(strides))]
    _set_stages(plan, features, [list(s) for s in strides], [list(k) for k in kernels])


def _set_features(plan: Json, features: Sequence[int]) -> None:
    """Take other widths; a shorter list makes a shallower network."""
    network = plan["architecture"]["arch_kwargs"]
    if len(features) > network["n_stages"]:
        raise UsageError(
            f"--features must have at most {network['n_stages']} stages for a patch of {plan['patch_size']}, but has "
            f"{len(features)}; leave the last ones out, or take a larger --patch"
        )
    _set_stages(plan, list(features), network["strides"], network["kernel_sizes"])


def _set_stages(plan: Json, features: list[int], strides: Sequence[list[int]], kernels: Sequence[list[int]]) -> None:
    """Make a network of as many stages as there are features."""
    network, stages = plan["architecture"]["arch_kwargs"], len(features)
    network["n_stages"], network["features_per_stage"] = stages, features
    network["strides"], network["kernel_sizes"] = list(strides[:stages]), list(kernels[:stages])
    encoder = "n_blocks_per_stage" if "n_blocks_per_stage" in network else "n_conv_per_stage"
    network[encoder] = _fit_length(network[encoder], stages)
    network["n_conv_per_stage_decoder"] = _fit_length(network["n_conv_per_stage_decoder"], stages - 1)


def _fit_length(numbers: Sequence[int], length: int) -> list[int]:
    """Cut a list, or repeat its last number."""
    return [*numbers[:length], *[numbers[-1]] * (length - len(numbers))]
