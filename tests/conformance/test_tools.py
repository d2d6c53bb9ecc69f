"""Every tool of this repository keeps the contract, in each runtime; a new one is covered unasked."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner
from helpers.standins import STANDINS

from coordinator.cli.tool import tool
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.tools.finding import Tool, find_tool, find_tools

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.long


def checkable() -> list[tuple[str, str]]:
    """Each tool with the first of its variants whose weights are here, if only as stand-ins."""
    first = {each.name: next(_with_weights(each), None) for each in find_tools(ROOT / "containers").values()}
    return [(name, variant) for name, variant in first.items() if variant]


def _with_weights(each: Tool) -> Iterator[str]:
    for name, variant in each.manifest.variants.items():
        if all(entry.package or (STANDINS / each.name / entry.file).exists() for entry in variant.weights):
            yield name


def check(name: str, variant: str, runtime: str) -> None:
    arguments = ["check", name, "--variant", variant, "--runtime", runtime, "--weights", str(STANDINS)]

    done = CliRunner().invoke(tool, arguments, standalone_mode=False, catch_exceptions=False)

    assert done.return_value == 0, done.stdout


@pytest.mark.venvs
@pytest.mark.parametrize(("name", "variant"), checkable())
def test_a_tool_keeps_the_contract_as_a_process(name: str, variant: str):
    check(name, variant, "process")


@pytest.mark.docker
@pytest.mark.parametrize(("name", "variant"), checkable())
def test_a_tool_keeps_the_contract_in_docker(name: str, variant: str, engine: docker.DockerClient):
    check(name, variant, "docker")


@pytest.mark.docker
@pytest.mark.apptainer
@pytest.mark.parametrize(("name", "variant"), checkable())
def test_a_tool_keeps_the_contract_in_apptainer(name: str, variant: str, engine: docker.DockerClient, apptainer: str):
    ApptainerRunner().build(find_tool(name, ROOT / "containers"))

    check(name, variant, "apptainer")


def test_every_tool_has_a_variant_that_can_be_checked():
    assert {name for name, _ in checkable()} == set(find_tools(ROOT / "containers"))
