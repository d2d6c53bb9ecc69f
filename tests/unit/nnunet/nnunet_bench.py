"""Small datasets, and the tool's real program in its own environment as a process that can be killed."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from helpers.toolserver import Running, start_program
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "containers" / "nnunet"

IMPORTS = "import nnunet_tool.prepare, nnunet_tool.fold"
"""What the forks of the tool find imported."""

AFFINE_MM = np.diag([2.0, 3.0, 4.0, 1.0])
SHAPE = (26, 21, 18)
ORGANS = {3: "liver", 7: "spleen"}
"""Ids with gaps, as datasets have them."""
CASES = ("a", "b", "c", "d", "e", "f")
TINY = ("--patch", "16,16,16", "--features", "4,8,12", "--no-mirroring")
SHORT = (
    "--epochs", "4", "--iterations-per-epoch", "3", "--validation-iterations", "1", "--checkpoint-every", "1", *TINY
)  # fmt: skip
FOLD = ("--step", "fold-0", *SHORT)
MODEL = "checkpoint_final.pth"


@dataclass(frozen=True, slots=True)
class Workbench:
    """A data folder, and results of the tool's steps on it, one below the other in one folder."""

    folder: Path
    server: subprocess.Popen[str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def out(self, name: str, dataset: str = "toy") -> Path:
        return self.folder / "out" / dataset / name

    def start(self, name: str, *arguments: str, dataset: str = "toy", **inputs: Path) -> Running:
        mounts = self.folder / f"in-{name}"
        mounts.mkdir(exist_ok=True)
        for key, folder in inputs.items():
            (mounts / key).unlink(missing_ok=True)
            (mounts / key).symlink_to(folder)
        argv = [
            str(TOOL / "tool.py"), "--dataset", dataset, "--label-version", name, "--device", "cpu", "--threads", "1",
            "--data", str(self.data), "--out", str(self.folder / "out"), "--inputs", str(mounts), *arguments,
        ]  # fmt: skip
        return self.program(argv, self.folder / f"{dataset}-{name}.log")

    def program(self, argv: list[str], log: Path) -> Running:
        """Run any program with the tool's modules imported."""
        return start_program(self.server, argv, log)

    def run(self, name: str, *arguments: str, code: int = 0, dataset: str = "toy", **inputs: Path) -> str:
        """Run to the end, check the exit code and give the log."""
        running = self.start(name, *arguments, dataset=dataset, **inputs)
        ended = running.exit_code()
        log = running.log.read_text()
        assert ended == code, log
        return log


def toy_case(seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """(X, Y, Z) in RAS+: air, a body and two boxes that are nowhere near their mirror images or transposes."""
    random = np.random.Generator(np.random.Philox(key=seed))
    x, y, z = random.integers(0, 3, 3)
    hu = np.full(SHAPE, -1000.0)
    hu[2:24, 2:19] = 0
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + x : 12 + x, 4 + y : 9 + y, 2 + z : 8 + z] = 3
    labels[14 + x : 20 + x, 11 + y : 15 + y, 6 + z : 14 + z] = 7
    hu[labels == 3], hu[labels == 7] = 200, 400
    return np.rint(hu + random.normal(0, 10, SHAPE)).astype(np.int16), labels


def stored(array: NDArray[np.generic], codes: str, turn_rad: float = 0.0) -> nib.Nifti1Image:
    """A RAS+ array as a file of another orientation, turned about z in the world where `turn_rad` says so."""
    image = nib.Nifti1Image(array, AFFINE_MM)
    target = nib.orientations.axcodes2ornt(codes)
    turned = image.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), target))
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    rotation = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return nib.Nifti1Image(np.asarray(turned.dataobj), rotation @ turned.affine)


def write_toy(
    folder: Path,
    cases: tuple[str, ...] = CASES,
    storage: Mapping[str, tuple[str, float]] | None = None,
) -> None:
    """A dataset folder of toy cases; `storage` says for a case how its file is stored: orientation, angle."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    listed = ", ".join(f"{i}: {organ}" for i, organ in ORGANS.items())
    (folder / "dataset.yaml").write_text(f"name: {folder.name}\nlabels: {{{listed}}}\n")
    for seed, case in enumerate(cases):
        for part, array in zip(("images", "labels"), toy_case(seed), strict=True):
            nib.save(stored(array, *(storage or {}).get(case, ("RAS", 0.0))), folder / part / f"{case}.nii.gz")


def outputs(folder: Path) -> dict[str, str]:
    """sha256 of every result of a step, from its files."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in {"run.json", "status.jsonl"})
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read_json(file: Path):
    return json.loads(file.read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / MODEL, weights_only=True)["network_weights"]


def same_weights(a: Path, b: Path) -> bool:
    return all(torch.equal(tensor, weights(b)[name]) for name, tensor in weights(a).items())


def fold_cases(bench: Workbench, fold: int) -> list[str]:
    return read_json(bench.out("prepared") / "cases.json")["folds"][fold]
