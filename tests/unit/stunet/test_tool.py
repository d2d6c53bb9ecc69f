"""The tool as it is run: its program, in its own environment, with stand-ins trained on phantoms."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.needs import find_tool_python
from helpers.standins import STANDINS
from helpers.storedphantom import OBLIQUE
from helpers.surface_oracle import oracle_dice

from contract.datasets import Dataset, open_dataset
from contract.grids import inverse_orientation, orient, orient_grid
from contract.manifest import load_manifest
from contract.volumes import read_image, read_labels, write_image
from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

TOOL = Path(__file__).resolve().parents[3] / "containers" / "stunet"

pytestmark = pytest.mark.venvs


@pytest.fixture(scope="module")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("stunet")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A patient that no stand-in has seen, stored in several ways; the oblique one lies askew as well."""
    made, data = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("data")
    make_phantom(made / "phantom", cases=1, seed=5, shape=(96, 80, 24))
    source = open_dataset(made, "phantom")
    image = read_image(source.image("phantom_001"))
    labels = read_labels(source.label("phantom_001"), image)
    for case, codes, turn in [
        ("ras", "RAS", np.eye(4)), ("lps", "LPS", np.eye(4)), ("las", "LAS", np.eye(4)),
        ("pir", "PIR", np.eye(4)), ("oblique", "LAI", OBLIQUE),
    ]:  # fmt: skip
        stored_as = inverse_orientation(nib.orientations.axcodes2ornt(codes))
        affine = turn @ orient_grid(image.grid, stored_as).affine
        for kind, voxels in (("images", image.array), ("labels", labels)):
            (data / "phantom" / kind).mkdir(parents=True, exist_ok=True)
            write_image(data / "phantom" / kind / f"{case}.nii.gz", orient(voxels, image.grid, stored_as), affine)
    (data / "phantom" / "dataset.yaml").write_bytes((source.folder / "dataset.yaml").read_bytes())
    return open_dataset(data, "phantom")


def run_tool(python: Path, dataset: Dataset, out: Path, *arguments: str, weights: Path = STANDINS):
    """Run the tool on a dataset."""
    command = [
        str(python), str(TOOL / "tool.py"), "--dataset", dataset.name, "--device", "cpu",
        "--data", str(dataset.folder.parent), "--out", str(out), "--weights", str(weights), *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def dice_by_organ(dataset: Dataset, case: str, results: Path) -> dict[str, float]:
    """Dice of each organ of the phantom, found by its name in the tool's label table."""
    image = read_image(dataset.image(case))
    reference = read_labels(dataset.label(case), image)
    found = read_labels(results / f"{case}.nii.gz", image)
    ids = {organ: i for i, organ in dict(load_manifest(TOOL).variant("small").labels).items()}
    return {organ: oracle_dice(reference == i, found == ids[organ]) for i, organ in LABELS.items()}


def test_organs_of_a_transposed_and_flipped_image_are_found_by_name(python: Path, phantom: Dataset, tmp_path: Path):
    done = run_tool(python, phantom, tmp_path, "--cases", "pir", "--step-size", "1")

    assert done.returncode == 0, done.stderr
    results = tmp_path / "phantom" / "stunet-small"
    scores = dice_by_organ(phantom, "pir", results)
    assert np.mean(list(scores.values())) >= 0.7 and min(scores.values()) >= 0.5, scores
    provenance = json.loads((results / "run.json").read_text())
    assert provenance["device"] == "cpu" and provenance["weights"][0]["file"] == "small_ep4k.model"


@pytest.mark.long
@pytest.mark.parametrize("variant", ["small", "base", "large", "huge"])
def test_every_size_finds_the_organs_however_the_image_is_stored(
    python: Path, phantom: Dataset, tmp_path: Path, variant: str
):
    cases = ("ras", "lps", "las", "oblique")

    done = run_tool(python, phantom, tmp_path, "--cases", ",".join(cases), "--variant", variant)

    assert done.returncode == 0, done.stderr
    means = {case: mean_dice(phantom, case, tmp_path / "phantom" / f"stunet-{variant}") for case in cases}
    assert min(means.values()) >= 0.7, means
    assert max(means.values()) - min(means.values()) <= 0.01, means


@pytest.mark.long
def test_the_fast_mode_finds_the_organs_too(python: Path, phantom: Dataset, tmp_path: Path):
    done = run_tool(python, phantom, tmp_path, "--cases", "ras", "--mode", "fast")

    assert done.returncode == 0, done.stderr
    assert mean_dice(phantom, "ras", tmp_path / "phantom" / "stunet-small") >= 0.7


def mean_dice(dataset: Dataset, case: str, results: Path) -> float:
    return float(np.mean(list(dice_by_organ(dataset, case, results).values())))


def test_an_image_of_nothing_but_0_fails_alone(python: Path, phantom: Dataset, tmp_path: Path):
    images = tmp_path / "data" / "empty" / "images"
    images.mkdir(parents=True)
    (images.parent / "dataset.yaml").write_text("name: empty\n", encoding="utf-8")
    write_image(images / "nothing.nii.gz", np.zeros((9, 8, 7), np.int16), np.eye(4))
    write_image(images / "something.nii.gz", np.full((9, 8, 7), -1000, np.int16), np.eye(4))

    done = run_tool(python, open_dataset(tmp_path / "data", "empty"), tmp_path / "out", "--patch", "32")

    assert done.returncode == 3, done.stderr
    assert "nothing: image must hold voxels other than 0 HU, but does not; exclude the case" in done.stderr
    assert (tmp_path / "out/empty/stunet-small/something.nii.gz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--patch", "100"), "--patch must be a multiple of 32, but it is 100"),
        (("--device", "cuda:99"), "--device must name a GPU of this machine, but cuda:99 is not there"),
    ],
)
def test_what_cannot_be_run_is_refused(
    python: Path, phantom: Dataset, tmp_path: Path, arguments: Sequence[str], message: str
):
    done = run_tool(python, phantom, tmp_path, *arguments)

    assert done.returncode == 2
    assert message in done.stderr


def test_all_sizes_share_one_label_table_in_alphabetical_order():
    tables = [dict(variant.labels) for variant in load_manifest(TOOL).variants.values()]

    names = list(tables[0].values())
    assert tables == [tables[0]] * 4
    assert names == sorted(names) and len(set(names)) == 104
    assert list(tables[0]) == list(range(1, 105))
