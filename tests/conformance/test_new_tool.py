"""A new tool keeps the contract as it is."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.cli.tool import tool

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.venvs
def test_a_new_tool_passes_when_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "containers"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PATH", str(ROOT / ".venvs/uv/bin"), prepend=os.pathsep)
    contract = tmp_path / "containers/contract"
    shutil.copytree(ROOT / "containers/contract", contract, ignore=shutil.ignore_patterns("*.egg-info"))

    for command in (["new", "threshold"], ["build", "--runtime", "process", "threshold"], ["check", "threshold"]):
        done = CliRunner().invoke(tool, command, standalone_mode=False, catch_exceptions=False)

    assert done.return_value == 0, done.stdout
    assert "bone (process)" in done.stdout
