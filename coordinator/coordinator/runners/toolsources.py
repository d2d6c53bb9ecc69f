"""What a tool is built from: its files, their digests, and the git revision that last touched them.

containers/            the tool's folder's parent: one Docker build context
  contract/            in every tool
  <tool>/              Dockerfile, requirements*.lock, tool.py, manifest.yaml, modules
"""

import subprocess
from pathlib import Path

from contract.errors import UsageError
from contract.records import digest, file_sha256
from coordinator.tools.finding import Tool

NOT_BUILT_FROM = frozenset({"README.md", "pyproject.toml", "Dockerfile", "__pycache__", "build", "remaps", "tests"})
"""Names in a tool's folder that its results can't depend on; `.dockerignore` leaves the same ones out."""


def lock_files(tool: Tool) -> list[Path]:
    """The locked requirements; those of `requirements-nodeps.lock` are installed without what they ask for."""
    return sorted(tool.folder.glob("requirements*.lock"))


def contract_folder(tool: Tool) -> Path:
    """The contract library that this tool is built with."""
    return tool.folder.parent / "contract"


def installed_digest(tool: Tool, *more: str) -> str:
    """Digest of what is installed before the tool's own code: locked requirements and the contract library.

    Raises:
        UsageError: the contract library does not lie beside the tool.
    """
    contract = contract_folder(tool)
    if not contract.is_dir():
        raise UsageError(f"{contract}: contract library must lie beside the tool, but does not; put the tool there")
    files = [*lock_files(tool), contract / "pyproject.toml", *_files(contract / "contract")]
    return digest([_digests(files, tool.folder.parent), *more])


def sources_digest(tool: Tool, *more: str) -> str:
    """Digest of everything that a tool's results depend on and that lies in this repository."""
    return digest([_digests(_files(tool.folder), tool.folder.parent), installed_digest(tool), *more])


def revision(tool: Tool) -> str:
    """The commit that last changed the tool or the contract library, `-dirty` where files differ from it.

    Not the newest commit: a change elsewhere must not give the tool a new image. `unknown` outside a git checkout.
    """
    paths = ["--", str(tool.folder), str(contract_folder(tool))]
    commit = _git(tool.folder, "log", "-1", "--format=%H", *paths)
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _git(tool.folder, "status", "--porcelain", *paths) else commit


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(_is_left_out(part) for part in path.relative_to(folder).parts))


def _is_left_out(name: str) -> bool:
    return name in NOT_BUILT_FROM or name.startswith(".") or name.endswith((".pyc", ".egg-info"))


def _digests(files: list[Path], root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file_sha256(file) for file in files}


def _git(folder: Path, *arguments: str) -> str:
    """Output of a git command; empty where git or the repository is missing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
