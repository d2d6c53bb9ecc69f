"""What a file of weights must look like, whoever says that it is one: no web page, login form or pointer to a file.

Only a published sha256 shows that a file is the right one. Where there is none, this is the door: the size, the first
bytes, and whether the file is whole, as far as its format tells.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from contract.errors import CaseError

LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""How files of PyTorch before 1.6 begin: the magic number, pickled."""
JSON_BYTES, OTHER_BYTES = 16_000_000, 4_000_000_000
"""Most bytes of a file whose size nobody states."""
_HEAD_BYTES, _FEWEST_LATIN = 4096, 64
_MOST_KEYS = 4
"""Of a server's message; the description of a network has more."""


def most_bytes(file: str) -> int:
    """Most bytes that a file may have whose size the manifest does not state."""
    return JSON_BYTES if file.endswith(".json") else OTHER_BYTES


def is_known(file: str) -> bool:
    """Whether it is known what files of this ending look like."""
    return Path(file).suffix in _KINDS


def check_format(path: Path, name: str) -> None:
    """Refuse a file that cannot be what its name says.

    Args:
        path: the file, which may lie under a hidden name.
        name: what it will be called.

    Raises:
        CaseError: it is empty, a page or other text, a pointer to a file, cut short, or of another kind.
    """
    problem = _find_problem(path, name)
    if problem:
        raise CaseError(f"{name}: must be {_KINDS.get(Path(name).suffix, ('a file of weights',))[0]}, but {problem}")


def _find_problem(path: Path, name: str) -> str:
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head:
        return "it is empty"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, a note where the file is; fetch the file itself"
    _, check = _KINDS.get(Path(name).suffix, ("", _check_other))
    return check(path, head)


def _check_torch(path: Path, head: bytes) -> str:
    return "" if head.startswith(LEGACY) else _check_zip(path, head, "/data.pkl")


def _check_numpy(path: Path, head: bytes) -> str:
    return _check_zip(path, head, ".npy")


def _check_zip(path: Path, head: bytes, ending: str) -> str:
    """Say why a file is no whole zip archive that holds a file of this ending."""
    if not head.startswith(b"PK\x03\x04"):
        return _describe_text(head) or f"it begins with {head[:8]!r}"
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()
    except Exception as error:  # zipfile raises all kinds for a damaged file
        raise CaseError(f"{path}: must be a whole file, but is cut short or damaged: {error}") from error
    return "" if any(name.endswith(ending) for name in names) else "it is another zip archive"


def _check_json(path: Path, head: bytes) -> str:
    del head
    if path.stat().st_size > JSON_BYTES:
        return f"it has {path.stat().st_size / 1e6:.0f} MB"
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return f"it is none: {str(error)[:100]}"
    if isinstance(content, dict) and len(content) <= _MOST_KEYS and content.keys() & {"error", "errors", "message"}:
        return f"it is a server's message: {str(content)[:100]}"
    return ""


def _check_other(path: Path, head: bytes) -> str:
    del path
    return _describe_text(head)


def _describe_text(head: bytes) -> str:
    """Say that a file is text, as pages and messages of servers are; empty where it is none."""
    encodings = ["utf-16"] if head[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8"]
    encodings += ["latin-1"] if len(head) >= _FEWEST_LATIN else []  # few bytes may be printable by chance
    for encoding in encodings:
        text = head.decode(encoding, errors="ignore" if len(head) == _HEAD_BYTES else "replace").lstrip("\ufeff")
        if text and "\ufffd" not in text and all(letter.isprintable() or letter.isspace() for letter in text):
            return f"it is text, such as a page or a message: {text.strip()[:60]!r}"
    return ""


_KINDS: dict[str, tuple[str, Callable[[Path, bytes], str]]] = {
    ".json": ("JSON", _check_json),
    ".npz": ("an archive of numpy arrays", _check_numpy),
    ".model": ("a file of PyTorch", _check_torch),
    ".pt": ("a file of PyTorch", _check_torch),
    ".pth": ("a file of PyTorch", _check_torch),
}
"""Ending of a file's name -> what it holds, and how that is checked."""
