"""A lock whose hashes don't fit."""

import re
from pathlib import Path


def break_hashes(lock: Path, package: str) -> None:
    """Change one digit of each hash of a package: of the wheel alone, the source archive would be taken instead."""
    text = lock.read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*(\n    --hash.*)+", text, re.MULTILINE)
    assert found
    broken = re.sub(r"sha256:(.)", lambda digit: f"sha256:{'1' if digit[1] == '0' else '0'}", found[0])
    lock.write_text(text.replace(found[0], broken), encoding="utf-8")
