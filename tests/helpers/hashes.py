"""Locks and the files that their hashes are of."""

import hashlib
import re
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_lock_lines(package: str) -> str:
    """The lines of a package in the coordinator's lock."""
    text = (ROOT / "coordinator/requirements.lock").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*(\n    --hash.*)+\n", text, re.MULTILINE)
    assert found
    return found[0]


def write_wheel(folder: Path, name: str, version: str) -> str:
    """Make the wheel of an empty package, and return its line of a lock."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def break_hashes(lock: Path, package: str) -> None:
    """Change one digit of each hash of a package: of the wheel alone, the source archive would be taken instead."""
    text = lock.read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*(\n    --hash.*)+", text, re.MULTILINE)
    assert found
    broken = re.sub(r"sha256:(.)", lambda digit: f"sha256:{'1' if digit[1] == '0' else '0'}", found[0])
    lock.write_text(text.replace(found[0], broken), encoding="utf-8")
