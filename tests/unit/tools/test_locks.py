"""Every lock: hashes of all packages, and torch in its two builds."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from coordinator.tools.finding import find_tools
from coordinator.tools.new import TEMPLATES

ROOT = Path(__file__).resolve().parents[3]
PLACES = ("*.lock", "coordinator/*.lock", "containers/*/*.lock", "tests/tools/*/*.lock")
LOCKS = [TEMPLATES / "requirements.lock", *sorted(file for place in PLACES for file in ROOT.glob(place))]
WITH_TORCH = sorted(file.parent for file in ROOT.glob("containers/*/requirements-cuda.lock"))
TORCH_AND_ITS_LIBRARIES = re.compile(r"(torch|triton|cuda-.*|nvidia-.*)$")


def packages(lock: Path) -> dict[str, tuple[str, list[str]]]:
    """Name -> version and hashes of each package of a lock."""
    lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    split = [line.split() for line in lines if line and not line.startswith("#")]
    pins = [(word, *rest) for word, *rest in split]
    return {word.split("==")[0]: (word.split("==")[1], rest) for word, *rest in pins}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_package_has_a_version_and_hashes(lock: Path):
    for name, (version, hashes) in packages(lock).items():
        assert version, name
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes), name


@pytest.mark.parametrize("folder", WITH_TORCH, ids=lambda folder: folder.name)
def test_torch_is_in_a_tools_locks_as_two_builds_of_one_version(folder: Path):
    cuda, cpu = packages(folder / "requirements-cuda.lock"), packages(folder / "requirements-cpu.lock")

    assert list(cpu) == ["torch"]
    assert cpu["torch"][0] == f"{cuda['torch'][0]}+cpu"
    assert not set(cpu["torch"][1]) & set(cuda["torch"][1])
    assert all(TORCH_AND_ITS_LIBRARIES.match(name) for name in cuda)
    assert not [name for name in packages(folder / "requirements.lock") if TORCH_AND_ITS_LIBRARIES.match(name)]


@pytest.mark.parametrize("name", find_tools(ROOT / "containers"))
def test_locks_hold_what_the_projects_pin(name: str):
    project = ROOT / "containers" / name / "pyproject.toml"
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    pins = content["project"]["dependencies"] + content.get("dependency-groups", {}).get("nodeps", [])
    locked = {name: version for lock in project.parent.glob("*.lock") for name, (version, _) in packages(lock).items()}

    for pin in map(Requirement, pins):
        version = locked[canonicalize_name(pin.name)].removesuffix("+cpu")
        assert pin.specifier.contains(version), pin


@pytest.mark.parametrize("folder", sorted(ROOT.glob("tests/tools/*")), ids=lambda folder: folder.name)
def test_a_new_tool_and_those_of_the_tests_need_the_contract_library_alone(folder: Path):
    new = (TEMPLATES / "requirements.lock").read_bytes()

    assert (folder / "requirements.lock").read_bytes() == new
