"""State files: what our programs write for themselves and read again, such as plans, markers, records and caches.

A crash, a full disk, another program or a person may leave anything under such a name: garbage, half a file, a folder.
So all of them are read here, and whoever reads one decides what follows when it is not what it should be:

    read       None after one sentence; the caller makes the file again
    require    `UsageError` in one sentence that says what to do
"""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from contract.errors import UsageError

Content = TypeVar("Content")
Parse = Callable[[bytes], Content]
"""Makes an object of a file's bytes; raises one of `DAMAGE` where they are something else."""
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class DamagedFileError(Exception):
    """A state file is not what it should be; the message is the reason, without the path."""


def parse_mapping(content: bytes) -> dict[str, Any]:
    """Parse JSON that must be keys and values."""
    parsed = json.loads(content.decode("utf-8"))
    if not isinstance(parsed, dict):
        raise TypeError(f"it is a {type(parsed).__name__}")
    return parsed


def load(path: Path, parse: Parse[Content]) -> Content | None:
    """Read a state file.

    Returns:
        Its content; None where there is no such file.

    Raises:
        DamagedFileError: it is unreadable, no file, or does not hold what it should.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a named pipe would never end
            raise DamagedFileError("it is a folder" if stat.S_ISDIR(mode) else "it is no regular file")
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedFileError(str(error.strerror)) from None
    try:
        return parse(content)
    except DAMAGE as error:
        raise DamagedFileError(_describe(content, error)) from None


def say(line: str) -> None:
    """Print a sentence about a damaged file to standard error."""
    sys.stderr.write(f"warning: {line}\n")


def read(path: Path, parse: Parse[Content], say: Callable[[str], None] = say) -> Content | None:
    """Read a state file that can be made again.

    Args:
        path: the file.
        parse: makes an object of its bytes.
        say: called with one sentence when the file is damaged.

    Returns:
        Its content; None where there is none, or where it is damaged.
    """
    try:
        return load(path, parse)
    except DamagedFileError as error:
        say(f"{path}: must be as it was written, but {error}; it is not used, and made again where it is needed")
        return None


def require(path: Path, parse: Parse[Content], advice: str) -> Content:
    """Read a state file that nothing can be done without.

    Raises:
        UsageError: it is missing or damaged; the message ends with the advice.
    """
    try:
        content = load(path, parse)
    except DamagedFileError as error:
        raise UsageError(f"{path}: must be as it was written, but {error}; {advice}") from None
    if content is None:
        raise UsageError(f"{path}: must exist, but does not; {advice}")
    return content


def remove(path: Path) -> None:
    """Remove a state file, or an empty folder in its place; a folder that holds something is never removed.

    Raises:
        OSError: it is such a folder, or may not be removed.
    """
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def remove_unless_file(path: Path) -> None:
    """Remove what is in the place of a file that is appended to, as `remove` does; a file stays."""
    if not path.is_file():
        remove(path)


def _describe(content: bytes, error: Exception) -> str:
    """Why bytes are not what they should be, in a few words."""
    if not content.strip(b"\0 \r\n\t"):
        return "it is empty"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not whole JSON ({error})"
    if isinstance(error, KeyError):
        return f"it does not say {error}"
    return f"{error}"[:200] or type(error).__name__
