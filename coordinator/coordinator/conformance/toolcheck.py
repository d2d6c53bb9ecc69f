"""What must hold for a tool's folder before it is worth building: files, manifest, Dockerfile."""

import re
from pathlib import Path

from contract.errors import UsageError
from contract.manifest import load_manifest
from coordinator.conformance.ruleresult import RuleResult
from coordinator.runners import Runner
from coordinator.runners.toolsources import dockerfiles
from coordinator.tools.finding import Tool

FOLDER = "folder"
"""Id of these rules."""
REQUIRED = ("README.md", "manifest.yaml", "tool.py", "pyproject.toml", "requirements.lock")
SCRATCH = ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
"""Variables that must point below /tmp, the one place that can be written to when the root is read-only."""
IMAGE_LABELS = ("title", "version", "revision", "licenses")


def check_folder(folder: Path) -> list[RuleResult]:
    """Look at a tool's folder; nothing needs to be built for it."""
    findings = [
        RuleResult(FOLDER, f"{name} is there", "" if (folder / name).is_file() else "missing: every tool has one")
        for name in REQUIRED
    ]
    findings += [
        RuleResult(FOLDER, f"{lock.name}: packages have hashes", _without_hash(lock))
        for lock in sorted(folder.glob("requirements*.lock"))
    ]
    recipes = [file for file in dockerfiles(folder) if file.is_file()]
    missing = "missing: a tool has one of its own, or that of all tools lies beside the contract library"
    findings += [RuleResult(FOLDER, "Dockerfile is there", "" if recipes else missing)]
    findings += check_dockerfile(recipes[0]) if recipes else []
    return [*findings, RuleResult(FOLDER, "manifest.yaml is sound", _manifest_problem(folder))]


def check_dockerfile(file: Path) -> list[RuleResult]:
    """Look at a Dockerfile: pinned, in two stages, not root, scratch below /tmp, labelled."""
    lines = _instructions(file.read_text(encoding="utf-8"))
    froms = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    last_stage = lines[froms[-1] :] if froms else []
    environment = "\n".join(line for line in last_stage if line.startswith("ENV "))
    labels = "\n".join(line for line in last_stage if line.startswith("LABEL "))
    users = [line.split()[1] for line in last_stage if line.startswith("USER ")]
    before = lines[: froms[0]] if froms else []
    rules = {
        "base image is an argument, pinned by digest": any(
            re.fullmatch(r"ARG BASE=\S+@sha256:[0-9a-f]{64}", line) for line in before
        ),
        "two stages, both from ${BASE}": len(froms) > 1 and all("${BASE}" in lines[i] for i in froms),
        "numeric user that is not root": bool(users) and re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]) is not None,
        "entry point in exec form": any(line.startswith("ENTRYPOINT [") for line in last_stage),
        "no HEALTHCHECK: it is a batch job": not any(line.startswith("HEALTHCHECK") for line in lines),
        "nothing is installed in the last stage": not re.search(
            r"\b(apt-get|pip|conda|curl|wget)\b", "\n".join(last_stage)
        ),
        **{f"{name} is below /tmp": re.search(rf"\b{name}=/tmp\b", environment) is not None for name in SCRATCH},
        **{f"image label {name}": f"org.opencontainers.image.{name}=" in labels for name in IMAGE_LABELS},
    }
    broken = f"must hold for {file}, but does not; compare it with containers/Dockerfile"
    return [RuleResult(FOLDER, f"Dockerfile: {what}", "" if holds else broken) for what, holds in rules.items()]


def is_built(runner: Runner, tool: Tool) -> bool:
    """Whether a runner could run a tool now."""
    try:
        runner.code_id(tool)
    except UsageError:
        return False
    return True


def _instructions(text: str) -> list[str]:
    """Instructions of a Dockerfile, or packages of a lock, one line each, without comments."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def _without_hash(lock: Path) -> str:
    """Which packages of a lock have no hash."""
    packages = _instructions(lock.read_text(encoding="utf-8"))
    bare = [package.split("=")[0] for package in packages if "--hash=sha256:" not in package]
    return f"{', '.join(bare)}: must have a hash; `make lock` writes them" if bare else ""


def _manifest_problem(folder: Path) -> str:
    try:
        load_manifest(folder)
    except UsageError as error:
        return str(error)
    return ""
