"""What may import what, and how large modules and functions may be. `make check` runs the same import contracts."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
TOOL_PROGRAMS = sorted((ROOT / "containers").glob("*/tool.py"))
TOOL_PACKAGES = {
    file.parent.name: program.parent.name
    for program in TOOL_PROGRAMS
    for file in program.parent.glob("*/__init__.py")
    if file.parent.name != "tests"
}
OURS = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
MOST_LINES, MOST_LINES_OF_FUNCTION, MOST_MODULES_ON_TOP = 350, 50, 7


def lint_imports(*first: Path) -> "subprocess.CompletedProcess[str]":
    """Check the import contracts; packages below `first` are taken instead of the repository's."""
    path = os.pathsep.join(map(str, [*first, *sorted((ROOT / "containers").glob("*/"))]))
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": path, "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("package", "module", "line", "broken"),
    [
        ("coordinator/coordinator", "scoring/settings.py", "import coordinator.cli.main", "import only what stands below"),
        ("coordinator/coordinator", "engine/execute.py", "import coordinator.study.file", "needs one module of the study"),
        ("containers/degrade/degrade_tool", "fields.py", "import coordinator.scoring.settings", "Tools import the contract"),
        ("containers/degrade/degrade_tool", "fields.py", "import medsam_tool.prompts", "Tools import the contract"),
        ("containers/contract/contract", "grids.py", "import torch", "The contract imports neither"),
    ],
)  # fmt: skip
def test_an_import_that_goes_the_wrong_way_is_refused(
    package: str, module: str, line: str, broken: str, tmp_path: Path
):
    copy = tmp_path / Path(package).name
    shutil.copytree(ROOT / package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")

    checked = lint_imports(tmp_path)

    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert any(broken in text and text.endswith("BROKEN") for text in checked.stdout.splitlines())


def test_the_import_contracts_know_every_tool():
    listed = [CONFIG["root_packages"], *(c["modules"] for c in CONFIG["contracts"] if c["id"] == "tools")]
    listed += [c["forbidden_modules"] for c in CONFIG["contracts"] if c["id"] == "contract"]

    for packages in listed:
        assert set(packages) >= set(TOOL_PACKAGES), (
            "add the new tool's package to [tool.importlinter] in pyproject.toml"
        )


@pytest.mark.parametrize("program", TOOL_PROGRAMS, ids=lambda program: program.parent.name)
def test_a_tools_program_imports_neither_the_coordinator_nor_another_tool(program: Path):
    foreign = {"coordinator", *(package for package, tool in TOOL_PACKAGES.items() if tool != program.parent.name)}

    assert not foreign & imported_packages(program)


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    packages = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


def test_few_modules_lie_on_top():
    modules = [file for file in OURS if Path(file).parent == Path("coordinator/coordinator")]

    assert len(modules) <= MOST_MODULES_ON_TOP


def test_modules_and_functions_are_small():
    too_large = []
    for file in OURS:
        text = (ROOT / file).read_text(encoding="utf-8")
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        too_large += [file] * (text.count("\n") > MOST_LINES)
        too_large += [
            f"{file}: {n.name}" for n in functions if (n.end_lineno or 0) - n.lineno >= MOST_LINES_OF_FUNCTION
        ]

    assert too_large == []
