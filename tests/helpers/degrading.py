"""Label versions of a phantom with errors of the boundary alone, made by the real tool `degrade`."""

import os
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "containers" / "degrade" / "tool.py"
BOUNDARY_ALONE = [
    "--erosion-mm", "2", "--dilation-mm", "2", "--deformation-mm", "0", "--missing-slices", "0", "--missed-organs", "0",
]  # fmt: skip


def degrade_phantom(dataset: Path, out: Path, *, seed: int, target_dice: float, consistent: bool) -> Path:
    """Erode or dilate each organ of each case; returns the folder of label maps."""
    out.mkdir()
    command = [sys.executable, TOOL, "--data", dataset.parent, "--out", out, "--dataset", dataset.name]
    command += [
        "--seed",
        seed,
        "--target-dice",
        target_dice,
        *BOUNDARY_ALONE,
        *(["--consistent"] if consistent else []),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOOL_")}
    subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    return out / dataset.name / "degrade-errors"
