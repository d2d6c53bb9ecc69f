"""Files of cases: only regular files are opened, and whatever goes wrong with one is the failure of its case."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import CaseError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def name_kind(mode: int) -> str:
    """What something is that is no regular file."""
    return KINDS.get(stat.S_IFMT(mode), "no regular file")


def describe_kind(path: Path) -> str | None:
    """What is wrong with the kind of a file, without opening it; None for a regular file, or a link to one.

    Opening a named pipe waits for ever, and reading a device may never end.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink():
            return f"it is a link to {path.readlink()}, which can't be followed ({error.strerror})"
        return str(error.strerror)
    except ValueError as error:  # a NUL in the path
        return str(error)
    if stat.S_ISREG(mode):
        return None
    return f"it is {name_kind(mode)}; put the file itself there"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever one file raises into the failure of its case, with the file's name.

    Headers of broken files reach deep into NumPy and nibabel, and no list of their exceptions is ever whole.

    Raises:
        CaseError: the file is no regular file, or the block raised an exception.
    """
    problem = describe_kind(path)
    if problem:
        raise CaseError(f"{path}: file must be readable, but: {problem}")
    try:
        yield
    except CaseError:
        raise
    except MemoryError as error:
        raise CaseError(
            f"{path}: volume must fit into memory, but does not{f' ({error})' if str(error) else ''}; "
            "use a machine with more memory, or exclude the case under `exclude:` in dataset.yaml"
        ) from error
    except OSError as error:
        raise CaseError(f"{path}: file must be readable, but: {error.strerror or error}") from error
    except Exception as error:
        raise CaseError(
            f"{path}: file must be a sound NIfTI volume, but reading it ended in {type(error).__name__}: {error}; "
            "copy it again, or exclude the case under `exclude:` in dataset.yaml"
        ) from error
