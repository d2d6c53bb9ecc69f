"""The network: a residual U-Net in six stages; its parameters are named and shaped as in the published files.

image ──► conv_blocks_context.0 ───────────────────────────► + conv_blocks_localization.4 ──► seg_outputs.4 ──► logits
               └─► .1 ────────────────────────────────► + .3 ──┘ upsample_layers.4
                     └─► .2 ─► .3 ─► .4 ─► .5 ──► … ──► .0   upsample_layers.0
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

POOLS = ((2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 2))
"""Strides along (z, y, x) from each stage to the next."""
DIVISOR = 32
"""Voxels along each axis of a tile must be a multiple of it."""
WIDENING = (1, 2, 4, 8, 16, 16)
"""Channels of each stage as a multiple of the first one's."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What differs between the sizes of the network.

    Attributes:
        width: channels of the first stage: 16, 32, 64, 96 in small, base, large, huge.
        depth: blocks of each stage: 1, 1, 2, 3.
        classes: channels of the result, background included.
    """

    width: int
    depth: int
    classes: int


class Block(nn.Module):
    """Two convolutions with a shortcut round them."""

    def __init__(self, channels_in: int, channels: int, stride: tuple[int, ...] = (1, 1, 1), *, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, channels, 3, stride, padding=1)
        self.norm1 = nn.InstanceNorm3d(channels, affine=True)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm2 = nn.InstanceNorm3d(channels, affine=True)
        self.conv3 = nn.Conv3d(channels_in, channels, 1, stride) if first else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, channels_in, z, y, x) -> (1, channels, z / stride, …)."""
        y = self.norm2(self.conv2(_activate(self.norm1(self.conv1(x)))))
        return _activate(y + (x if self.conv3 is None else self.conv3(x)))


class Upsample(nn.Module):
    """Nearest neighbours after a convolution of one voxel; their order changes only the cost."""

    def __init__(self, channels_in: int, channels: int, factor: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels_in, channels, 1)
        self.factor = tuple(map(float, factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, channels_in, z, y, x) -> (1, channels, z · factor, …)."""
        return functional.interpolate(self.conv(x), scale_factor=self.factor, mode="nearest")


class STUNet(nn.Module):
    """STU-Net of any width and depth.

    The four coarser heads `seg_outputs.0` to `.3` are for training only; they are here because the files hold them.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels = [shape.width * factor for factor in WIDENING]
        strides = ((1, 1, 1), *POOLS)
        inputs = [1, *channels[:-1]]
        self.conv_blocks_context = nn.ModuleList(
            _stage(n_in, n, shape.depth, stride) for n_in, n, stride in zip(inputs, channels, strides, strict=True)
        )
        up = list(zip(channels[:0:-1], channels[-2::-1], POOLS[::-1], strict=True))
        self.upsample_layers = nn.ModuleList(Upsample(n_in, n, factor) for n_in, n, factor in up)
        self.conv_blocks_localization = nn.ModuleList(_stage(2 * n, n, shape.depth) for _, n, _ in up)
        self.seg_outputs = nn.ModuleList(nn.Conv3d(n, shape.classes, 1) for _, n, _ in up)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 1, z, y, x) normalised image -> (1, classes, z, y, x) logits."""
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 1, z, y, x) normalised image -> (1, width, z, y, x) features, the head's input."""
        skips = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            skips.append(x)
        skips.pop()
        for upsample, stage in zip(self.upsample_layers, self.conv_blocks_localization, strict=True):
            x = stage(torch.cat([upsample(x), skips.pop()], dim=1))
        return x

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """(1, width, z, y, x) features -> (1, classes, z, y, x) logits, each voxel by itself."""
        logits: torch.Tensor = self.seg_outputs[-1](features)
        return logits


def _stage(channels_in: int, channels: int, depth: int, stride: tuple[int, ...] = (1, 1, 1)) -> nn.Sequential:
    first = Block(channels_in, channels, stride, first=True)
    return nn.Sequential(first, *(Block(channels, channels, first=False) for _ in range(depth - 1)))


def _activate(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, 0.01, inplace=True)
