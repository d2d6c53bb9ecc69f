"""DynUNet and nnU-Net on the same phantoms: same cases, steps, batch, patch and channels.

    .venvs/dev/bin/python tests/benchmarks/networks.py

Both are trained by this repository's tools in their own environments: nnU-Net on fold 0 of its cross-validation with its
own recipe, DynUNet with a short one on the same training cases; both label the cases of fold 0. nnU-Net's learning rate is
meant for 500 times as many steps, so it is tried with a higher one too. Goal: DynUNet's mean Dice is at least the better of
nnU-Net's minus 0.02. Neither mirrors: left and right organs are different labels.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from contract.datasets import open_dataset
from contract.volumes import read_image, read_labels
from coordinator.datasets.phantom import make_phantom

ROOT = Path(__file__).resolve().parents[2]
CASES, SHAPE = 12, (64, 54, 16)
EPOCHS, STEPS, BATCH = "16", "30", "2"
PATCH, CHANNELS = "48,48,16", "8,16,32,64"
OF_NNUNET = (
    "--patch", PATCH, "--features", CHANNELS, "--epochs", EPOCHS, "--iterations-per-epoch", STEPS, "--batch-size", BATCH,
    "--validation-iterations", "1", "--no-mirroring",
)  # fmt: skip
OF_DYNUNET = ("--epochs", EPOCHS, "--batches-per-epoch", STEPS, "--batch-size", BATCH, "--learning-rate", "3e-3")
MARGIN = 0.02


def main() -> int:
    """Train both; 1 where the goal is not met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder / "data/phantoms", cases=CASES, shape=SHAPE)
        prepared = run(folder, "nnunet", "prepare", {}, *OF_NNUNET)
        held_out = json.loads((prepared / "cases.json").read_text())["folds"][0]
        scores = {}
        for rate in ("0.01", "0.3"):
            theirs = run(folder, "nnunet", "fold-0", {"prepare": prepared}, *OF_NNUNET, "--learning-rate", rate)
            scores[f"nnU-Net, rate {rate}"] = dice(folder, theirs, held_out)
        for name, options in {"DynUNet, augmented": (), "DynUNet, not augmented": ("--no-augment",)}.items():
            scores[name] = dice(folder, dynunet(folder, held_out, options), held_out)
    steps = int(EPOCHS) * int(STEPS)
    for name, score in scores.items():
        sys.stdout.write(
            f"{name:<28} mean Dice of {len(held_out)} held-out phantoms after {steps} steps  {score:.3f}\n"
        )
    away = scores["DynUNet, not augmented"] - max(score for name, score in scores.items() if name.startswith("nnU-Net"))
    met = away >= -MARGIN
    sys.stdout.write(f"DynUNet minus nnU-Net {away:+.3f}   goal >= -{MARGIN}   {'met' if met else 'NOT MET'}\n")
    return 0 if met else 1


def dynunet(folder: Path, held_out: list[str], options: tuple[str, ...]) -> Path:
    """Predictions of a network that learned the other cases."""
    split = folder / "split"
    split.mkdir(exist_ok=True)
    cases = open_dataset(folder / "data", "phantoms").cases()
    train = [case for case in cases if case not in held_out]
    (split / "split.json").write_text(json.dumps({"train": train, "holdout": held_out}))
    labels = folder / "data/phantoms/labels"
    store = run(folder, "trainer", "prepare", {"split": split}, "--patch", PATCH, "--filters", CHANNELS)
    own = run(folder, "trainer", "prepare-labels", {"store": store, "labels": labels})
    inputs = {"store": store, "labels": own, "reference": own}
    model = run(folder, "trainer", "train", inputs, *OF_DYNUNET, *options)
    return run(folder, "trainer", "predict", {"model": model}, "--cases", ",".join(held_out))


def run(folder: Path, tool: str, step: str, inputs: dict[str, Path], *options: str) -> Path:
    """Run a step of a tool in its own environment; gives the folder of its results."""
    mounts = Path(tempfile.mkdtemp(dir=folder))
    for name, results in inputs.items():
        (mounts / name).symlink_to(results)
    version = f"{tool}-{step}-{mounts.name.lower()}"
    command = [
        ROOT / ".venvs" / tool / "bin/python", ROOT / "containers" / tool / "tool.py", "--dataset", "phantoms", "--step",
        step, "--label-version", version, "--data", folder / "data", "--out", folder / "out", "--inputs", mounts,
        "--threads", "1", "--device", "cpu", *options,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return folder / "out/phantoms" / version


def dice(folder: Path, results: Path, cases: list[str]) -> float:
    """Mean over cases and organs."""
    dataset, found = open_dataset(folder / "data", "phantoms"), []
    for case in cases:
        image = read_image(dataset.image(case))
        truth = read_labels(dataset.label(case), image, dataset.labels)
        labels = read_labels(results / f"{case}.nii.gz", image, dataset.labels)
        pairs = [(labels == i, truth == i) for i in dataset.labels]
        found += [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs if b.any()]
    return float(np.mean(found))


if __name__ == "__main__":
    raise SystemExit(main())
