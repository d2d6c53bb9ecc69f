import json

import numpy as np
import pytest
from dynunet_trainer.network import build_network
from dynunet_trainer.plan import (
    Normalisation,
    automatic_patch,
    kernels_and_strides,
    make_plan,
    measure_normalisation,
    parse_plan,
    parse_spacing,
)

from contract.errors import UsageError

NORMALISATION = Normalisation(-100.0, 300.0, 50.0, 80.0)

# Patch, spacing, first kernel, strides after the first and parameters with 16 classes and 3 heads, from runs of
# MONAI's and nnU-Net's own code.
MEASURED = [
    ((128, 128, 128), (1.5, 1.5, 1.5), (3, 3, 3), [(2, 2, 2)] * 5, 31.19),
    ((96, 96, 96), (1.5, 1.5, 1.5), (3, 3, 3), [(2, 2, 2)] * 4, 16.55),
    ((64, 160, 192), (2.0, 0.68, 0.68), (1, 3, 3), [(1, 2, 2)] + [(2, 2, 2)] * 4, 31.16),
    ((48, 192, 192), (3.0, 0.76, 0.76), (1, 3, 3), [(1, 2, 2)] + [(2, 2, 2)] * 3 + [(1, 2, 2)], 30.75),
    ((56, 192, 160), (2.5, 0.8, 0.8), (1, 3, 3), [(1, 2, 2)] + [(2, 2, 2)] * 3 + [(1, 2, 2)], 30.75),
    ((64, 192, 160), (2.5, 0.98, 0.98), (1, 3, 3), [(1, 2, 2)] + [(2, 2, 2)] * 4, 31.16),
    ((96, 160, 160), (1.25, 0.79, 0.79), (3, 3, 3), [(2, 2, 2)] * 4 + [(1, 2, 2)], 30.78),
]


@pytest.mark.parametrize(("patch", "spacing_mm", "kernel", "strides", "millions"), MEASURED)
def test_kernels_and_strides_are_those_of_nnunet_and_monai(patch, spacing_mm, kernel, strides, millions):
    kernels, found = kernels_and_strides(patch, spacing_mm)

    assert found == ((1, 1, 1), *strides)
    assert kernels[0] == kernel
    assert all(k == (3, 3, 3) for k in kernels[2:])


def test_full_width_network_has_the_published_number_of_parameters():
    patch, spacing_mm, _, _, millions = MEASURED[1]
    plan = make_plan(spacing_mm, [(200, 200, 200)], NORMALISATION, patch="96,96,96", voxels=1, filters="auto")

    network = build_network(plan, 16, deep_supervision=True)

    assert plan.patch == patch
    assert plan.filters == (32, 64, 128, 256, 320)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(millions * 1e6, rel=3e-4)
    assert not list(network.buffers())  # a model file holds parameters alone


def test_patch_that_does_not_divide_is_refused():
    with pytest.raises(
        UsageError, match=r"--patch must be divisible by the network's strides \[4, 4, 4\].*\[42, 48, 48\]"
    ):
        kernels_and_strides((42, 48, 48), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "expected"),
    [
        ((512, 512, 512), (1.0, 1.0, 1.0), (128, 128, 128)),  # a cube
        ((512, 512, 60), (1.0, 1.0, 1.0), (160, 160, 56)),  # what one axis lacks goes to the others: 186 of each
        ((512, 512, 200), (0.98, 0.98, 2.5), (160, 160, 64)),  # cubic in mm: 174 x 174 x 68 voxels
        ((40, 30, 20), (1.0, 1.0, 1.0), (40, 28, 20)),  # never larger than the median shape
    ],
)
def test_automatic_patch_is_a_cube_in_mm_within_shape_and_budget(shape, spacing_mm, expected):
    assert automatic_patch([shape], spacing_mm, 128**3) == expected


@pytest.mark.parametrize("seed", range(50))
def test_every_automatic_patch_fits_its_own_strides_and_the_budget(seed):
    random = np.random.Generator(np.random.Philox(key=seed))
    shape = tuple(random.integers(16, 600, 3).tolist())
    spacing_mm = tuple(random.uniform(0.5, 6, 3).tolist())

    patch = automatic_patch([shape], spacing_mm, 64**3)

    kernels_and_strides(patch, spacing_mm)
    assert np.prod(patch) <= 64**3
    assert all(p <= s for p, s in zip(patch, shape, strict=True))


def test_fewer_filters_than_the_rule_has_stages_make_a_shallower_network():
    plan = make_plan((1.0, 1.0, 1.0), [(64, 64, 64)], NORMALISATION, patch="64,64,64", voxels=1, filters="8,16,24")

    assert plan.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    assert plan.heads == 1


@pytest.mark.parametrize(
    ("patch", "filters", "message"),
    [
        ("8,8,8", "auto", "a network needs 3 stages"),
        ("16,16,16", "8,16,32,64,128", "at most one entry for each of the 3 stages"),
        ("16,16", "auto", "--patch must be auto or x,y,z"),
        ("16,16,x", "auto", "--patch must be auto or whole numbers"),
        ("16,16,16", "8,0", "--filters must be auto or whole numbers"),
    ],
)
def test_impossible_options_are_refused_with_what_would_do(patch, filters, message):
    with pytest.raises(UsageError, match=message):
        make_plan((1.0, 1.0, 1.0), [(64, 64, 64)], NORMALISATION, patch=patch, voxels=1, filters=filters)


def test_spacing_is_read_or_refused():
    assert parse_spacing("1,1.5,3") == (1.0, 1.5, 3.0)
    for text in ("1,2", "a,b,c", "0,1,1", "nan,1,1", "inf,1,1"):
        with pytest.raises(UsageError, match="--spacing must be"):
            parse_spacing(text)


def test_normalisation_is_that_of_the_body_alone():
    hu = np.random.Generator(np.random.Philox(key=1)).normal(40, 100, 5000).round(1) * 8 // 1 / 8
    body = hu[hu > -500]
    stored = np.concatenate([hu, np.full(900, -3024.0), np.full(5000, -1000.0)]) * 8
    counts = np.bincount(stored.astype(np.int64) + 2**15, minlength=2**16)

    found = measure_normalisation(counts)

    assert found.lower_hu == np.percentile(body, 0.5, method="inverted_cdf")
    assert found.upper_hu == np.percentile(body, 99.5, method="inverted_cdf")
    assert found.mean_hu == pytest.approx(body.mean())
    assert found.std_hu == pytest.approx(body.std())
    assert found.apply(np.float32([-3024, 1e6])) == pytest.approx(
        (np.array([found.lower_hu, found.upper_hu]) - body.mean()) / body.std()
    )


def test_images_without_a_body_are_refused():
    counts = np.zeros(2**16, np.int64)
    counts[-1000 * 8 + 2**15] = 10

    with pytest.raises(UsageError, match="training images must hold voxels above -500 HU"):
        measure_normalisation(counts)


def test_plan_survives_json():
    plan = make_plan((1.0, 1.5, 3.0), [(64, 64, 64)], NORMALISATION, patch="auto", voxels=32**3, filters="auto")

    assert parse_plan(json.loads(json.dumps(plan.to_dict()))) == plan
