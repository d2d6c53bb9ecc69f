"""Synthetic cases for the trainer's benchmark, and patches of them: by the trainer, and by nnU-Net."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "containers/trainer"), str(ROOT / "containers/contract"), str(ROOT / "containers/nnunet")]

import nnunet_tool.environment as nnunet_environment  # noqa: E402, F401 - before nnU-Net is imported
from dynunet_trainer.sampling import Augmentation, Sampler  # noqa: E402
from dynunet_trainer.store import open_label_store, open_store  # noqa: E402

NATIVE, NATIVE_MM = (512, 512, 200), (0.9, 0.9, 2.0)
STORED, STORED_MM = (461, 461, 267), (1.0, 1.0, 1.5)
ORGANS = 14
PATCH = (128, 128, 128)
CASES, CASE_SHAPE = 4, (200, 200, 136)


def ct(shape: tuple[int, int, int], seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A body with 14 ellipsoids that have noise and HU of their own."""
    random = np.random.Generator(np.random.Philox(key=seed))
    grid = np.ogrid[tuple(slice(0, 1, n * 1j) for n in shape)]
    hu = np.full(shape, -1000, np.float32)
    hu[np.broadcast_to(((grid[0] - 0.5) / 0.42) ** 2 + ((grid[1] - 0.5) / 0.33) ** 2 < 1, shape)] = 0
    labels = np.zeros(shape, np.uint8)
    for organ in range(1, ORGANS + 1):
        centre, axes = random.uniform((0.25, 0.3, 0.1), (0.75, 0.7, 0.9)), random.uniform(0.04, 0.13, 3)
        inside = sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes, strict=True)) < 1
        labels[inside], hu[inside] = organ, 20 * organ - 100
    hu += random.standard_normal(shape, np.float32) * 12
    return np.rint(hu).astype(np.int16), labels


def our_sampler(folder: Path, *, augmented: bool, patch: tuple[int, int, int] = PATCH) -> Sampler:
    """Patches of four cases, stored by the trainer's own steps."""
    data, names = folder / "data" / "made", [f"c{i}" for i in range(CASES)]
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    organs = ", ".join(f"{i}: organ{i}" for i in range(1, ORGANS + 1))
    (data / "dataset.yaml").write_text(f"name: made\nlabels: {{{organs}}}\n")
    for seed, name in enumerate(names):
        for part, array in zip(("images", "labels"), ct(CASE_SHAPE, seed), strict=True):
            nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 1.5, 1])), data / part / f"{name}.nii.gz")
    inputs = folder / "in"
    (inputs / "split").mkdir(parents=True)
    (inputs / "split/split.json").write_text(json.dumps({"train": names, "holdout": []}))
    (inputs / "labels").symlink_to(data / "labels")
    size = ",".join(map(str, patch))
    for step, version in (("prepare", "store"), ("prepare-labels", "own")):
        command = [
            sys.executable, str(ROOT / "containers/trainer/tool.py"), "--dataset", "made", "--step", step,
            "--label-version", version, "--data", str(data.parent), "--out", str(folder / "out"), "--inputs",
            str(inputs), *(["--patch", size, "--filters", "16,32,64,128"] if step == "prepare" else []),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": ":".join(sys.path[:3])})
        (inputs / "store").unlink(missing_ok=True)
        (inputs / "store").symlink_to(folder / "out/made/store")
    store, own = open_store(folder / "out/made/store"), open_label_store(folder / "out/made/own")
    return Sampler(store, own, store.training, 0, 1 / 3, own, Augmentation(0, ()) if augmented else None)


def their_loader(folder: Path) -> Any:
    """nnU-Net's loader and augmentation on the same cases, stored and normalised as it does."""
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    stored = folder / "nnunet"
    stored.mkdir()
    for seed in range(CASES):
        image, truth = ct(CASE_SHAPE, seed)
        data = (np.clip(image, -1000, 400).T[None] / 300.0).astype(np.float32)
        locations = {
            i: np.column_stack(
                [
                    np.zeros(10000, int),
                    np.argwhere(i == truth.T)[np.linspace(0, (truth == i).sum() - 1, 10000).astype(int)],
                ]
            )
            for i in np.unique(truth)[1:].tolist()
        }
        nnUNetDatasetBlosc2.save_case(
            data, truth.T[None].astype(np.int16), {"class_locations": locations}, str(stored / f"c{seed}")
        )
    manager = LabelManager({"background": 0, **{f"organ{i}": i for i in range(1, ORGANS + 1)}}, None)
    turn = (-30 / 360 * 2 * np.pi, 30 / 360 * 2 * np.pi)
    transforms = nnUNetTrainer.get_training_transforms(PATCH, turn, None, (), False, use_mask_for_norm=[False])
    return nnUNetDataLoader(
        nnUNetDatasetBlosc2(str(stored)), 2, get_patch_size(PATCH, turn, turn, turn, (0.85, 1.25)), PATCH, manager,
        1 / 3, transforms=transforms,
    )  # fmt: skip
