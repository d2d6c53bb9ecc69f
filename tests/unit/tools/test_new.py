"""`coordinator tool new`: the folder that it writes."""

import re
from pathlib import Path

import pytest

from contract.errors import UsageError
from contract.manifest import load_manifest
from coordinator.conformance.toolcheck import check_folder
from coordinator.tools.finding import find_tools
from coordinator.tools.new import render_tool, write_tool

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def containers(tmp_path: Path) -> Path:
    """A folder of tools with the contract library's folder alone."""
    (tmp_path / "containers/contract").mkdir(parents=True)
    return tmp_path / "containers"


def test_a_new_tool_is_found_and_keeps_the_rules_for_folders(containers: Path):
    made = write_tool("threshold", containers)

    assert made == containers / "threshold"
    assert list(find_tools(containers)) == ["threshold"]
    assert load_manifest(made).options["lowest-hu"].default == 250
    assert [finding for finding in check_folder(made) if finding.problem] == []


def test_a_folder_of_tools_gets_the_dockerfile_of_all_if_it_has_none(containers: Path):
    write_tool("threshold", containers)

    for file in ("Dockerfile", ".dockerignore"):
        assert (containers / file).read_bytes() == (ROOT / "containers" / file).read_bytes()


def test_a_dockerfile_that_is_there_is_left_alone(containers: Path):
    (containers / "Dockerfile").write_text("FROM mine\n", encoding="utf-8")

    write_tool("threshold", containers)

    assert (containers / "Dockerfile").read_text(encoding="utf-8") == "FROM mine\n"
    assert not (containers / "threshold/Dockerfile").exists()


@pytest.mark.parametrize("file", ["manifest.yaml", "tool.py"])
def test_the_contracts_text_shows_a_new_tool(file: str):
    text = (ROOT / "docs/reference/tool-contract.md").read_text(encoding="utf-8")
    shown = re.search(rf"`containers/threshold/{re.escape(file)}`\n\n```\w+\n(.*?)```", text, re.DOTALL)

    assert shown
    assert shown[1] == render_tool("threshold")[file]


@pytest.mark.parametrize("name", ["Threshold", "my-tool", "my_tool", "3d", "", "../tool", "a.b"])
def test_a_name_that_no_tool_can_have_is_refused(name: str, containers: Path):
    with pytest.raises(UsageError, match="a tool's name must be lower-case letters and digits"):
        write_tool(name, containers)

    assert [path.name for path in containers.iterdir()] == ["contract"]


@pytest.mark.parametrize("name", ["contract", "medsam"])
def test_a_folder_that_exists_is_left_alone(name: str, containers: Path):
    (containers / "medsam").mkdir()

    with pytest.raises(UsageError, match=rf"{name}: must not exist yet, but does; choose another name"):
        write_tool(name, containers)

    assert list((containers / name).iterdir()) == []


def test_a_place_without_the_contract_library_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"contract: contract library must lie beside tools, but does not"):
        write_tool("threshold", tmp_path)
