"""The page on what the audit finds has every kind of finding that the code can make, and no other."""

import ast
import re
from pathlib import Path

from coordinator.datasets import audit

ROOT = Path(__file__).resolve().parents[3]
KEBAB = r"[a-z0-9]+(?:-[a-z0-9]+)+"
NO_KINDS = {"label-quality-coordinator", "utf-8", "missing-file", "unreadable-file"}
"""Other words of that form; the last two become kinds with the part of the case that they are about."""
OF_PARTS = {"no-image", "no-labels", "unreadable-image", "unreadable-labels"}


def test_the_page_has_every_kind():
    words = {
        node.value
        for file in Path(audit.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(KEBAB, node.value)
    }
    tables = re.findall(r"^\| (`.*?) \| ", (ROOT / "docs/reference/audit.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert {kind for cell in tables for kind in re.findall(KEBAB, cell)} - {
        "hole",
        "padding",
    } == words - NO_KINDS | OF_PARTS
