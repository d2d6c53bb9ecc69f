"""The files that a tool is built from: their digests, and the git commit that last changed them.

containers/            the parent of the tools' folders: one Docker build context
  contract/            part of every tool
  <tool>/              Dockerfile, requirements*.lock, tool.py, manifest.yaml, modules
"""

import subprocess
from pathlib import Path

from contract.errors import UsageError
from contract.records import digest, file_sha256
from coordinator.tools.finding import Tool

IGNORED_NAMES = frozenset({"README.md", "pyproject.toml", "Dockerfile", "__pycache__", "build", "remaps", "tests"})
"""Names in a tool's folder that cannot affect its results; `.dockerignore` leaves out the same names."""


def lock_files(tool: Tool) -> list[Path]:
    """The locked requirements; those in `requirements-nodeps.lock` are installed without their dependencies."""
    return sorted(tool.folder.glob("requirements*.lock"))


def contract_folder(tool: Tool) -> Path:
    """Folder of the contract library that a tool is built with."""
    return tool.folder.parent / "contract"


def dependencies_digest(tool: Tool, *more: str) -> str:
    """Digest of what is installed before the tool's own code: locked requirements and the contract library.

    Raises:
        UsageError: the contract library is not beside the tool.
    """
    contract = contract_folder(tool)
    if not contract.is_dir():
        raise UsageError(f"{contract}: contract library must lie beside the tool, but does not; put the tool there")
    files = [*lock_files(tool), contract / "pyproject.toml", *_list_files(contract / "contract")]
    return digest([_file_digests(files, tool.folder.parent), *more])


def sources_digest(tool: Tool, *more: str) -> str:
    """Digest of everything in this repository that a tool's results depend on."""
    return digest([_file_digests(_list_files(tool.folder), tool.folder.parent), dependencies_digest(tool), *more])


def git_revision(tool: Tool) -> str:
    """The commit that last changed the tool or the contract library, with `-dirty` if files differ from it.

    It is not the newest commit, since a change elsewhere must not change the tool's image. `unknown` outside of a git
    checkout.
    """
    paths = ["--", str(tool.folder), str(contract_folder(tool))]
    commit = _run_git(tool.folder, "log", "-1", "--format=%H", *paths)
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _run_git(tool.folder, "status", "--porcelain", *paths) else commit


def _list_files(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(_is_ignored(part) for part in path.relative_to(folder).parts))


def _is_ignored(name: str) -> bool:
    return name in IGNORED_NAMES or name.startswith(".") or name.endswith((".pyc", ".egg-info"))


def _file_digests(files: list[Path], root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file_sha256(file) for file in files}


def _run_git(folder: Path, *arguments: str) -> str:
    """Output of a git command; empty if git or the repository is missing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
