"""STU-Net's peak memory on 512 x 512 x 300 voxels with 105 classes: below 6 GB.

    .venvs/stunet/bin/python tests/benchmarks/stunet_memory.py [MM MM MM]

The image is random, its spacing along (x, y, z) is given in mm; by default the widest field of view of a scanner, where
most has to be kept. The network is narrow, with random weights; all that follows it is the tool's own.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

TOOL = Path(__file__).resolve().parents[2] / "containers" / "stunet"
sys.path.insert(0, str(TOOL))

from stunet_tool.inference import Predictor  # noqa: E402 - the tool is no installed package
from stunet_tool.model import Model, segment_volume  # noqa: E402
from stunet_tool.network import Shape, STUNet  # noqa: E402

GOAL_GB = 6.0
CLASSES = 105


def main(spacing_mm: tuple[float, float, float]) -> int:
    """Measure; 1 where the goal is not met."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    image = random.integers(-1000, 1000, (512, 512, 300), np.int16).transpose(2, 1, 0)
    network = STUNet(Shape(width=2, depth=1, classes=CLASSES)).eval()
    torch.nn.init.normal_(network.seg_outputs[-1].weight, std=30)  # so that it is sure of itself, as a trained one
    since = time.monotonic()
    x_mm, y_mm, z_mm = spacing_mm
    labels = segment_volume(Model(Predictor(network, torch.device("cpu")), CLASSES, False), image, (z_mm, y_mm, x_mm))
    seconds = time.monotonic() - since
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    met = peak_gb < GOAL_GB
    sys.stdout.write(
        f"512 x 512 x 300 voxels of {x_mm} x {y_mm} x {z_mm} mm, {len(np.unique(labels))} classes found: peak "
        f"{peak_gb:.2f} GB   goal < {GOAL_GB:g} GB   {'met' if met else 'NOT MET'}   {seconds:.0f} s\n"
    )
    return 0 if met else 1


if __name__ == "__main__":
    given = [float(mm) for mm in sys.argv[1:]] or [0.977, 0.977, 1.5]
    raise SystemExit(main((given[0], given[1], given[2])))
