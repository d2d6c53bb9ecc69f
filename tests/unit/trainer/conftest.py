"""Small datasets, and the trainer's real program as a process that can be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.toolserver import Running, serve_tool, start_program
from helpers.training import SHORT, results, stores
from numpy.typing import NDArray

TRAINER = Path(__file__).parents[3] / "containers" / "trainer"
sys.path.insert(0, str(TRAINER))

IMPORTS = """
import numpy as np
import torch._dynamo  # which AdamW imports when it is made
import dynunet_trainer.inference, dynunet_trainer.prepare, dynunet_trainer.prepare_labels, dynunet_trainer.training
from dynunet_trainer import kernels

# Compiled once, for all that are forked from here.
image, labels, out = np.zeros((4, 4, 4), np.int16), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.float32)
window, matrix, sizes = np.ones(4, np.float32), np.eye(3, 4), np.array([4, 4, 4])
low, weight = np.zeros((3, 4), np.int64), np.zeros((3, 4), np.float32)
image.flags.writeable = False
kernels.cut_image(image, sizes, window, out)
kernels.warp_image(image, matrix, window, out)
kernels.warp_labels(labels, matrix, labels.copy())
kernels.vote_planes(labels, low, weight, 0.1, labels.copy())
kernels.export_planes(out[None], low, weight, labels.copy())
"""
"""What the forks of the tool find imported and compiled."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """A dataset and the trainer's steps on it, one below the other in one folder."""

    folder: Path
    server: subprocess.Popen[str]

    @property
    def images(self) -> Path:
        return self.folder / "data" / "toy" / "images"

    @property
    def labels(self) -> Path:
        return self.folder / "data" / "toy" / "labels"

    def out(self, name: str) -> Path:
        return self.folder / "out" / "toy" / name

    def start(self, step: str, name: str, *options: str, **inputs: Path) -> Running:
        mounts = self.folder / f"in-{name}"
        mounts.mkdir(exist_ok=True)
        for key, folder in inputs.items():
            (mounts / key).unlink(missing_ok=True)
            (mounts / key).symlink_to(folder)
        argv = [
            str(TRAINER / "tool.py"), "--dataset", "toy", "--step", step, "--label-version", name, "--device", "cpu",
            "--threads", "1", "--data", str(self.folder / "data"), "--out", str(self.folder / "out"),
            "--inputs", str(mounts), *options,
        ]  # fmt: skip
        return start_program(self.server, argv, self.folder / f"{name}.log")

    def run(self, step: str, name: str, *options: str, code: int = 0, **inputs: Path) -> str:
        """Run a step to its end, check its exit code and give its log."""
        running = self.start(step, name, *options, **inputs)
        ended = running.exit_code()
        log = running.log.read_text()
        assert ended == code, log
        return log


@pytest.fixture(scope="session")
def tool_server() -> Iterator[subprocess.Popen[str]]:
    with serve_tool(sys.executable, IMPORTS, {**os.environ, "PYTHONPATH": str(TRAINER)}) as server:
        yield server


AFFINE_MM = np.array(
    [
        [-2.0 * np.cos(0.15), 3.0 * np.sin(0.15), 0.0, 40.0],
        [-2.0 * np.sin(0.15), -3.0 * np.cos(0.15), 0.0, 30.0],
        [0.0, 0.0, 4.0, -20.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""Oblique, stored as LPS, with three different spacings."""
SHAPE = (26, 21, 14)
ORGANS = {3: "liver", 7: "spleen"}


def toy_case(seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Air, a body and two boxes that are nowhere near their mirror images or transposes."""
    random = np.random.Generator(np.random.Philox(key=seed))
    x, y, z = random.integers(0, 2, 3)
    hu = np.full(SHAPE, -1000.0)
    hu[2:24, 2:19] = 0
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + x : 12 + x, 4 + y : 10 + y, 2 + z : 8 + z] = 3
    labels[15 + x : 21 + x, 11 + y : 16 + y, 6 + z : 12 + z] = 7
    hu[labels == 3], hu[labels == 7] = 200, 400
    return np.rint(hu + random.normal(0, 10, SHAPE)).astype(np.int16), labels


def write_toy(folder: Path, cases: Sequence[str], organs: dict[int, str] = ORGANS) -> None:
    """A dataset folder of toy cases."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    listed = ", ".join(f"{i}: {organ}" for i, organ in organs.items())
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\nlabels: {{{listed}}}\n")
    for seed, case in enumerate(cases):
        for part, array in zip(("images", "labels"), toy_case(seed), strict=True):
            nib.save(nib.Nifti1Image(array, AFFINE_MM), folder / part / f"{case}.nii.gz")


TRAIN, HOLDOUT = ("a", "b", "c"), ("d",)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, tool_server: subprocess.Popen[str]) -> Workbench:
    """A workbench with an image store and a label store."""
    folder = tmp_path_factory.mktemp("bench")
    write_toy(folder / "data" / "toy", [*TRAIN, *HOLDOUT])
    (folder / "split").mkdir()
    (folder / "split" / "split.json").write_text(json.dumps({"train": TRAIN, "holdout": HOLDOUT}))
    bench = Workbench(folder, tool_server)
    bench.run("prepare", "store", "--patch", "16,16,8", "--filters", "6,12,24", split=folder / "split")
    bench.run("prepare-labels", "labels", store=bench.out("store"), labels=bench.labels)
    return bench


@pytest.fixture(scope="session")
def undisturbed(bench: Workbench) -> dict[str, str]:
    """Digests of what a short training makes."""
    bench.run("train", "undisturbed", *SHORT, **stores(bench))
    return results(bench, "undisturbed")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tests are small: more threads would only wait for one another."""
    import torch

    torch.set_num_threads(1)
