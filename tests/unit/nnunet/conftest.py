"""The tool's own interpreter, a server that runs the tool, and a prepared dataset."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.needs import find_tool_python
from helpers.toolserver import serve_tool

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "containers" / "nnunet"), str(Path(__file__).parent)]

from nnunet_bench import FOLD, IMPORTS, SHORT, TOOL, Workbench, outputs, write_toy  # noqa: E402 - found by the line above


@pytest.fixture(scope="session")
def python() -> Path:
    """The tool's own interpreter."""
    return find_tool_python("nnunet")


@pytest.fixture(scope="session")
def tool_server(python: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TOOL), "OMP_NUM_THREADS": "1"}
    with serve_tool(str(python), IMPORTS, environment) as server:
        yield server


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, tool_server: subprocess.Popen[str]) -> Workbench:
    """A workbench with the dataset `toy`, prepared."""
    bench = Workbench(tmp_path_factory.mktemp("bench"), tool_server)
    write_toy(bench.data / "toy")
    bench.run("prepared", "--step", "prepare", *SHORT)
    return bench


@pytest.fixture(scope="session")
def undisturbed(bench: Workbench) -> dict[str, str]:
    """Digests of what an undisturbed fold makes."""
    bench.run("undisturbed", *FOLD, prepare=bench.out("prepared"))
    return outputs(bench.out("undisturbed"))
