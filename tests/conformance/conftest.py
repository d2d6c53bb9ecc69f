"""A foreign tool with one thing wrong, as a folder with its environment."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.manifest import load_manifest
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with those of the foreign tool."""
    folder = tmp_path_factory.mktemp("weights")
    folder.chmod(0o755)
    (folder / "broken").mkdir()
    (folder / "broken/weights.bin").write_bytes(b"a stranger's weights")
    return folder


@pytest.fixture(scope="session")
def venvs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments are built, once for all copies of a tool."""
    return tmp_path_factory.mktemp("venvs")


@pytest.fixture
def make(tmp_path: Path, venvs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tool]:
    """Copies a tool of tests/tools to a folder of tools and writes into it what is broken."""
    monkeypatch.setenv("COORDINATOR_VENVS", str(venvs))
    monkeypatch.setenv("PATH", str(ROOT / ".venvs/uv/bin"), prepend=os.pathsep)
    folder = tmp_path / "containers"
    shutil.copytree(ROOT / "containers/contract", folder / "contract", ignore=shutil.ignore_patterns("*.egg-info"))

    def make_broken(broken: str, name: str = "broken") -> Tool:
        shutil.copytree(ROOT / "tests/tools" / name, folder / name)
        (folder / name / "broken").write_text(broken, encoding="utf-8")
        tool = Tool(folder / name, load_manifest(folder / name))
        ProcessRunner().build(tool)
        return tool

    return make_broken
