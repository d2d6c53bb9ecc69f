"""How a network was trained, in words for a methods section: topic -> what was done, from what the run was told.

`run.json` holds it, so a report needs no list of its own. It says what this code does; change both together.
"""

from collections.abc import Sequence

from dynunet_trainer.plan import LOWER_PERCENTILE, UPPER_PERCENTILE, Normalisation, Plan
from dynunet_trainer.settings import Settings

AXES = "xyz"


def describe_training(settings: Settings, plan: Plan, precision: str, validation_patches: int) -> dict[str, str]:
    """Describe a training.

    Args:
        settings: of the run.
        plan: of the image store.
        precision: in which the network computes; not auto.
        validation_patches: how many are watched.

    Returns:
        Topic -> a phrase, in the order of the work.
    """
    return {
        "spacing": f"{_format_sizes(plan.spacing_mm)} mm",
        "normalisation": _describe_normalisation(plan.normalisation),
        "patch": f"{_format_sizes(plan.patch)} voxels",
        "network": f"{len(plan.filters)} stages of {', '.join(map(str, plan.filters))} channels, kernels and strides "
        "by nnU-Net's rule",
        "batch": f"{settings.batch_size} patches",
        "crops": _describe_crops(settings),
        "augmentation": _describe_augmentation(settings),
        "loss": "Dice loss (background included) plus cross entropy",
        "deep supervision": _describe_heads(settings, plan),
        "weight decay": f"{settings.weight_decay:g}",
        "gradients": f"clipped to a norm of {settings.gradient_clip:g}",
        "precision": precision,
        "validation": _describe_validation(validation_patches),
        "checkpoint": "the weights after the last step",
    }


def describe_prediction(overlap: float) -> dict[str, str]:
    """Describe how a trained network labels an image; the same form as `describe_training`."""
    return {
        "prediction": f"sliding windows that overlap by {100 * overlap:g} % at least, weighted by a Gaussian; scores "
        "interpolated to the image's own voxels; no test-time augmentation, no post-processing"
    }


def _describe_normalisation(normalisation: Normalisation) -> str:
    return (
        f"intensities clipped to {normalisation.lower_hu:g} to {normalisation.upper_hu:g} HU (percentiles "
        f"{LOWER_PERCENTILE:g} and {UPPER_PERCENTILE:g} of the body in the training images), less a mean of "
        f"{normalisation.mean_hu:.1f} HU, over a standard deviation of {normalisation.std_hu:.1f} HU"
    )


def _describe_crops(settings: Settings) -> str:
    if settings.foreground_from == "none" or settings.foreground == 0:
        return "anywhere in the image"
    whose = "the label version" if settings.foreground_from == "own" else "the reference labels"
    return f"{100 * settings.foreground:g} % centred on a foreground voxel of {whose}, the others anywhere"


def _describe_augmentation(settings: Settings) -> str:
    if not settings.augment:
        return "none"
    mirrored = "".join(AXES[axis] for axis in settings.mirror_axes)
    mirroring = f"mirroring along {', '.join(mirrored)}" if mirrored else "no mirroring"
    return (
        "rotation, scaling, noise, blur, brightness, contrast, low resolution and gamma with the probabilities and "
        f"ranges of nnU-Net's default trainer; {mirroring}"
    )


def _describe_heads(settings: Settings, plan: Plan) -> str:
    if not settings.deep_supervision or plan.heads < 1:
        return "none"
    if plan.heads == 1:
        return "1 lower resolution, with half the weight"
    return f"{plan.heads} lower resolutions, each with half the weight of the one above"


def _describe_validation(patches: int) -> str:
    if patches == 0:
        return "none while training"
    watched = "1 patch of held-out cases was" if patches == 1 else f"{patches} patches of held-out cases were"
    return f"{watched} watched after each epoch, and nothing was chosen by them"


def _format_sizes(sizes: Sequence[float]) -> str:
    return " × ".join(f"{size:.4g}" for size in sizes)  # noqa: RUF001 - the sign of dimensions
