"""`coordinator tool`, called as click calls it."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.errors import UsageError
from coordinator.cli_tool import tool
from coordinator.tools import Tool


@pytest.fixture(autouse=True)
def _tools(probe: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of tools with the probe alone, without a Docker engine and without built environments."""
    shutil.copytree(probe.folder.parent, tmp_path / "containers")
    monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "containers"))
    monkeypatch.setenv("COORDINATOR_VENVS", str(tmp_path / "venvs"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("COLUMNS", "200")


def call(*arguments: str) -> str:
    return CliRunner().invoke(tool, arguments, standalone_mode=False, catch_exceptions=False).output


def test_list_shows_each_tool_and_works_without_an_engine():
    output = call("list")

    (row,) = (line for line in output.splitlines() if "probe" in line)
    assert re.split(r"\s{2,}", row.strip()) == [
        "probe", "generator", "bone", "-", "none", "Apache-2.0", "no engine", "no",
    ]  # fmt: skip


def test_check_finds_nothing_wrong_with_a_sound_tool():
    output = call("check", "probe")

    assert "`describe` prints the manifest (the coordinator's Python)" in output
    assert "yes" in output
    assert "│ no  │" not in output


def test_check_takes_a_folder_and_says_what_is_wrong(tmp_path: Path):
    folder = tmp_path / "containers/probe"
    (folder / "README.md").unlink()
    (folder / "tool.py").write_text("raise SystemExit('broken')\n")

    with pytest.raises(UsageError, match=r"all of 22 rules must hold, but 2 do not"):
        call("check", str(folder))


def test_check_refuses_an_unknown_name():
    with pytest.raises(UsageError, match="there is no tool 'prob'; did you mean `probe`"):
        call("check", "prob")


def test_compose_writes_both_files(tmp_path: Path):
    output = call("compose")

    assert output.split() == [f"{tmp_path}/compose.yaml", f"{tmp_path}/compose.gpu.yaml"]
    assert "label-quality/probe:0.1.0" in (tmp_path / "compose.yaml").read_text()


def test_build_without_an_engine_says_what_to_do():
    with pytest.raises(UsageError, match=r"a Docker engine must answer at unix://.*, but: .*use the runtime `process`"):
        call("build", "probe")
