"""How a network was trained, in words: what the run was told, and what it did."""

import json
from pathlib import Path

import pytest
from dynunet_trainer.plan import Normalisation, Plan
from dynunet_trainer.recipe import describe_prediction, describe_training
from dynunet_trainer.settings import read_settings

from contract.manifest import load_manifest

TRAINER = Path(__file__).parents[3] / "containers" / "trainer"

NORMALISATION = Normalisation(-970, 310.5, 12.34, 98.76)
PLAN = Plan(
    (1.5, 1.5, 3.0), (64, 64, 32), ((3, 3, 3),) * 5, ((1, 1, 1),) + ((2, 2, 2),) * 4, (32, 64, 128, 256, 320),
    NORMALISATION,
)  # fmt: skip


def describe(**options: object) -> dict[str, str]:
    """The description of the manifest's defaults but for these options."""
    values = load_manifest(TRAINER).complete_options({key.replace("_", "-"): v for key, v in options.items()})
    return describe_training(read_settings(values), PLAN, "float32", int(values["validation-patches"]))


def test_every_setting_that_the_paper_leaves_open_is_described():
    assert describe() == {
        "spacing": "1.5 × 1.5 × 3 mm",  # noqa: RUF001
        "normalisation": "intensities clipped to -970 to 310.5 HU (percentiles 0.5 and 99.5 of the body in the training "
        "images), less a mean of 12.3 HU, over a standard deviation of 98.8 HU",
        "patch": "64 × 64 × 32 voxels",  # noqa: RUF001
        "network": "5 stages of 32, 64, 128, 256, 320 channels, kernels and strides by nnU-Net's rule",
        "batch": "2 patches",
        "crops": "33 % centred on a foreground voxel of the label version, the others anywhere",
        "augmentation": "rotation, scaling, noise, blur, brightness, contrast, low resolution and gamma with the "
        "probabilities and ranges of nnU-Net's default trainer; no mirroring",
        "loss": "Dice loss (background included) plus cross entropy",
        "deep supervision": "3 lower resolutions, each with half the weight of the one above",
        "weight decay": "0.01",
        "gradients": "clipped to a norm of 12",
        "precision": "float32",
        "validation": "8 patches of held-out cases were watched after each epoch, and nothing was chosen by them",
        "checkpoint": "the weights after the last step",
    }


@pytest.mark.parametrize(
    ("options", "topic", "phrase"),
    [
        ({"augment": False}, "augmentation", "none"),
        ({"deep_supervision": False}, "deep supervision", "none"),
        ({"foreground_from": "none"}, "crops", "anywhere in the image"),
        ({"validation_patches": 0}, "validation", "none while training"),
        ({"weight_decay": 1e-5}, "weight decay", "1e-05"),
        ({"batch_size": 4}, "batch", "4 patches"),
    ],
)
def test_what_a_run_was_told_differently_is_described_differently(options, topic, phrase):
    assert describe(**options)[topic] == phrase


def test_mirrored_axes_are_named():
    assert describe(mirror_axes="zy")["augmentation"].endswith("mirroring along y, z")


def test_training_and_prediction_record_what_they_did(bench, undisturbed):
    recipe = json.loads((bench.out("undisturbed") / "run.json").read_text(encoding="utf-8"))["recipe"]
    bench.run("predict", "described", model=bench.out("undisturbed"))
    predicted = json.loads((bench.out("described") / "run.json").read_text(encoding="utf-8"))["recipe"]

    assert (recipe["patch"], recipe["precision"]) == ("16 × 16 × 8 voxels", "float32")  # noqa: RUF001
    assert recipe["network"].startswith("3 stages of 6, 12, 24 channels")
    assert recipe["deep supervision"] == "1 lower resolution, with half the weight"
    assert predicted == describe_prediction(0.5)
