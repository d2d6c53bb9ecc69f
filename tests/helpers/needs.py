"""What a test needs that a machine may not have."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]


def skip_or_fail(what: str) -> NoReturn:
    """Skip the test; but fail it in CI, where everything must be there."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(what)
    pytest.skip(what)


def find_tool_python(tool: str) -> Path:
    """Find the interpreter of a tool's own environment; without it the test is skipped, but fails in CI."""
    python = ROOT / ".venvs" / tool / "bin" / "python"
    if not python.exists():
        skip_or_fail(f"{python}: the tool has no environment; make it with `coordinator tool build {tool}`")
    return python
