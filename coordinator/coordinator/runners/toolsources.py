"""The files that a tool is built from: their digests, and the git commit that last changed them.

containers/            the tool's folder's parent: one Docker build context
  Dockerfile           of every tool that has none of its own
  contract/            in every tool
  <tool>/              requirements*.lock, tool.py, manifest.yaml, modules; a Dockerfile where it differs
"""

import subprocess
from pathlib import Path

from contract.errors import UsageError
from contract.records import digest, file_sha256
from coordinator.runners.environment import child_environment
from coordinator.tools.finding import Tool

DOCKERFILE = "Dockerfile"
IGNORED_NAMES = frozenset({"README.md", "pyproject.toml", DOCKERFILE, "__pycache__", "build", "remaps", "tests"})
"""Names in a tool's folder that cannot affect its results; `.dockerignore` leaves out the same names."""


def dockerfile(tool: Tool) -> Path:
    """The recipe of the tool's image: its own, else the one of its folder of tools.

    Raises:
        UsageError: there is neither.
    """
    own, shared = dockerfiles(tool.folder)
    if not own.is_file() and not shared.is_file():
        raise UsageError(
            f"{shared}: Dockerfile of all tools must lie beside the contract library, but does not; "
            f"copy it from `containers/` of the repository, or give the tool its own"
        )
    return own if own.is_file() else shared


def dockerfiles(folder: Path) -> tuple[Path, Path]:
    """Where a tool's own Dockerfile would be, and that of all tools."""
    return folder / DOCKERFILE, folder.parent / DOCKERFILE


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
    locks = sorted(tool.folder.glob("requirements*.lock"))
    builders = [contract / "pyproject.toml", *sorted(contract.glob("requirements-build.lock"))]
    files = [*locks, *builders, *_list_files(contract / "contract")]
    return digest([_file_digests(files, tool.folder.parent), *more])


def sources_digest(tool: Tool, *more: str) -> str:
    """Digest of everything in this repository that a tool's results depend on."""
    return digest([_file_digests(_list_files(tool.folder), tool.folder.parent), dependencies_digest(tool), *more])


def image_digest(tool: Tool) -> str:
    """Digest of everything that the tool's image is built from: also of the Dockerfile.

    Raises:
        UsageError: there is no Dockerfile.
    """
    return sources_digest(tool, file_sha256(dockerfile(tool)))


def git_revision(tool: Tool) -> str:
    """The commit that last changed the tool, its Dockerfile or the contract library; `-dirty` where files differ.

    It is not the newest commit, since a change elsewhere must not change the tool's image. `unknown` outside of a git
    checkout.
    """
    paths = ["--", str(tool.folder), str(contract_folder(tool)), str(dockerfiles(tool.folder)[1])]
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
    """Output of a git command; empty if git or the repository is missing, or belongs to another user."""
    command = ["git", "-C", str(folder), *arguments]
    environment = child_environment(folder)  # without GIT_DIR and the like, which name another repository
    try:
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()
