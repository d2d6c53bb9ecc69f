"""Names and shapes of the parameters are the published ones, size by size."""

import pytest
import torch
from stunet_tool.network import Shape, STUNet

SIZES = {"small": (16, 1), "base": (32, 1), "large": (64, 2), "huge": (96, 3)}
MILLIONS = {"small": 14.60, "base": 58.26, "large": 440.30, "huge": 1457.33}
PARAMETERS = {"small": 14_596_941, "base": 58_262_669, "large": 440_302_605, "huge": 1_457_326_221}
TENSORS = {"small": 130, "base": 130, "large": 218, "huge": 306}


def without_memory(width: int, depth: int) -> STUNet:
    with torch.device("meta"):
        return STUNet(Shape(width, depth, 105))


def published(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """Parameter -> shape, written down from the description of the published files."""
    dims = [width * factor for factor in (1, 2, 4, 8, 16, 16)]
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, n_in: int, n: int, kernel: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n, n_in, kernel, kernel, kernel), (n,)

    def blocks(stage: str, n_in: int, n: int) -> None:
        for number in range(depth):
            block = f"{stage}.{number}"
            convolution(f"{block}.conv1", n if number else n_in, n, 3)
            convolution(f"{block}.conv2", n, n, 3)
            for norm in ("norm1", "norm2"):
                shapes[f"{block}.{norm}.weight"] = shapes[f"{block}.{norm}.bias"] = (n,)
            if number == 0:
                convolution(f"{block}.conv3", n_in, n, 1)

    for stage in range(6):
        blocks(f"conv_blocks_context.{stage}", dims[stage - 1] if stage else 1, dims[stage])
    for level in range(5):
        n = dims[4 - level]
        convolution(f"upsample_layers.{level}.conv", dims[5 - level], n, 1)
        blocks(f"conv_blocks_localization.{level}", 2 * n, n)
        convolution(f"seg_outputs.{level}", n, 105, 1)
    return shapes


@pytest.mark.parametrize("size", SIZES)
def test_the_state_dict_has_the_published_names_and_shapes(size: str):
    state = without_memory(*SIZES[size]).state_dict()

    assert {name: tuple(value.shape) for name, value in state.items()} == published(*SIZES[size])
    assert len(state) == TENSORS[size]


@pytest.mark.parametrize("size", SIZES)
def test_the_number_of_parameters_is_the_published_one(size: str):
    count = sum(parameter.numel() for parameter in without_memory(*SIZES[size]).parameters())

    assert count == PARAMETERS[size]
    assert round(count / 1e6, 2) == MILLIONS[size]


def test_the_coarsest_voxel_is_32_long_along_the_last_axis_and_16_along_the_others():
    x = torch.zeros(1, 1, 64, 64, 64)

    for stage in STUNet(Shape(1, 1, 3)).conv_blocks_context:
        x = stage(x)

    assert x.shape == (1, 16, 4, 4, 2)


def test_a_block_is_two_normalised_convolutions_and_a_shortcut():
    torch.manual_seed(0)
    block = STUNet(Shape(2, 1, 3)).conv_blocks_context[1][0]
    x = torch.randn(1, 2, 6, 4, 8)

    def normalise(y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        mean, deviation = y.mean((2, 3, 4), keepdim=True), (y.var((2, 3, 4), correction=0, keepdim=True) + 1e-5).sqrt()
        return (y - mean) / deviation * weight.reshape(1, -1, 1, 1, 1) + bias.reshape(1, -1, 1, 1, 1)

    def activated(y: torch.Tensor) -> torch.Tensor:
        return torch.where(y > 0, y, 0.01 * y)

    for norm in (block.norm1, block.norm2):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    y = activated(normalise(block.conv1(x), block.norm1.weight, block.norm1.bias))
    y = normalise(block.conv2(y), block.norm2.weight, block.norm2.bias) + block.conv3(x)

    assert y.shape == (1, 4, 3, 2, 4)
    assert torch.allclose(block(x), activated(y), atol=1e-5)


def test_upsampling_repeats_voxels_before_the_convolution_or_after_it():
    torch.manual_seed(0)
    layer = STUNet(Shape(2, 1, 3)).upsample_layers[0]
    x = torch.randn(1, 32, 3, 2, 2)

    repeated = x.repeat_interleave(2, dim=4)

    assert torch.allclose(layer(x), layer.conv(repeated), atol=1e-6)
