"""What the manifest says of TotalSegmentator is what the package says of itself."""

import json
import subprocess
from pathlib import Path

import pytest

from contract.manifest import load_manifest

TOOL = Path(__file__).resolve().parents[3] / "containers" / "totalseg"
PROGRAM = """
import json
from totalsegmentator.libs import TASK_ID_WEIGHTS_CONFIGS
from totalsegmentator.map_tasks_config import TASK_CONFIGS
from totalsegmentator.map_to_binary import class_map
modes = TASK_CONFIGS["total"]["sub_modes"]
ids = {name: mode["task_id"] if isinstance(mode["task_id"], list) else [mode["task_id"]] for name, mode in modes.items()}
weights = {name: [TASK_ID_WEIGHTS_CONFIGS[i] for i in some] for name, some in ids.items()}
print(json.dumps({"labels": class_map["total"], "weights": weights}))
"""


@pytest.fixture(scope="module")
def package(python: Path) -> dict:
    done = subprocess.run([str(python), "-c", PROGRAM], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.venvs
@pytest.mark.parametrize("variant", ["total", "3mm", "6mm"])
def test_native_ids_are_the_packages_own(package: dict, variant: str):
    labels = load_manifest(TOOL).variants[variant].labels

    assert labels == {int(i): organ for i, organ in package["labels"].items()}
    assert sorted(labels) == list(range(1, 118))


@pytest.mark.venvs
@pytest.mark.parametrize(("variant", "mode"), [("total", "default"), ("3mm", "fast"), ("6mm", "fastest")])
def test_weights_are_those_that_the_package_would_fetch(package: dict, variant: str, mode: str):
    named = [(entry.file, entry.url, entry.archive) for entry in load_manifest(TOOL).variants[variant].weights]

    releases = "https://github.com/wasserth/TotalSegmentator/releases/download"
    assert named == [
        (entry["foldername"], f"{releases}/{entry['version']}/{entry['foldername']}.zip", "zip")
        for entry in package["weights"][mode]
    ]
