"""What the images hold and under which licences, the check for vulnerabilities, and that what builds us has a hash."""

import importlib.util
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "dependencies/sbom.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_licences_lists_what_the_locks_pin(sbom: ModuleType):
    def without_licence(line: str) -> list[str]:
        name, version, _, images = line.strip("| ").split(" | ")
        return [name, version, images]

    lines = [line for line in sbom.TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]

    expected = [without_licence(line) for line in sbom.table_lines({})]
    assert [without_licence(line) for line in lines if "---" not in line] == expected, "run `make sbom`"


def test_the_licence_of_a_package_is_what_it_states(sbom: ModuleType):
    bill = {"components": [
        {"name": "Some_Package", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "BSD License"}}]},
        {"name": "other", "licenses": [{"expression": "Apache-2.0 OR MIT"}]},
        {"name": "silent"},
    ]}  # fmt: skip

    assert sbom.read_licences(bill) == {
        "some-package": "MIT and BSD License", "other": "Apache-2.0 OR MIT", "silent": "none stated",
    }  # fmt: skip


def test_without_network_the_audit_says_so_and_is_no_success():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/query"
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}

        done = subprocess.run(
            [sys.executable, str(ROOT / "dependencies/audit.py")],
            env=environment | {"OSV_URL": address}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 3
    assert done.stderr.startswith(f"no network: {address} must answer, but: ")
    assert done.stderr.endswith("; nothing was checked\n") and done.stderr.count("\n") == 1


def test_what_builds_the_contract_library_is_the_pinned_one():
    project = tomllib.loads((ROOT / "containers/contract/pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "containers/contract/requirements-build.lock").read_text(encoding="utf-8")

    assert [line.split()[0] for line in lock.splitlines() if "==" in line] == project["build-system"]["requires"]


@pytest.mark.parametrize("file", ["Makefile", "containers/Dockerfile"])
def test_nothing_is_installed_without_a_hash(file: str):
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")

    installs = [line for line in text.splitlines() if "pip install" in line or " install --" in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-index" in line, line
