"""What the operating system refuses is a sentence with the path, or a mistake of ours."""

import errno
import os
from pathlib import Path

import pytest

from contract.casefiles import reading
from contract.errors import CaseError
from contract.oserrors import describe_os_error, is_machines_fault

FILE = "/somewhere/file"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            errno.ENOSPC,
            f"{FILE}: must have room, but: No space left on device; free some space and run this again: it goes on",
        ),
        (
            errno.EDQUOT,
            f"{FILE}: must have room, but: Disk quota exceeded; free some space and run this again: it goes on",
        ),
        (
            errno.EROFS,
            f"{FILE}: must be writable, but: Read-only file system; write elsewhere, or mount it for writing",
        ),
        (
            errno.EEXIST,
            f"{FILE}: must be a folder, or lie in one, but: File exists; move away the file that is in its place",
        ),
        (errno.EISDIR, f"{FILE}: must be a file, but: Is a directory; move away the folder that is in its place"),
        (
            errno.EIO,
            f"{FILE}: must be usable, but: Input/output error; check the path and its disk, then run this again",
        ),
    ],
)
def test_an_error_is_told_with_its_path_and_what_to_do(code: int, sentence: str):
    assert describe_os_error(OSError(code, os.strerror(code), FILE)) == sentence


def test_what_is_denied_is_told_with_the_owner_of_the_nearest_place_that_is_seen(tmp_path: Path):
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a" / "b"))

    assert describe_os_error(error) == (
        f"{tmp_path / 'a' / 'b'}: must be open to uid {os.geteuid()}, but: Permission denied ({tmp_path} belongs to uid "
        f"{tmp_path.stat().st_uid}); give it to that user, or run as its owner"
    )


def test_of_a_rename_the_place_that_was_to_be_is_named():
    error = OSError(errno.EISDIR, "Is a directory", "/part", None, FILE)

    assert (describe_os_error(error) or "").startswith(f"{FILE}: must be a file")


def test_an_error_without_a_path_is_a_mistake_of_the_program():
    assert describe_os_error(OSError(errno.EBADF, "Bad file descriptor")) is None
    assert describe_os_error(OSError("no number")) is None


def test_a_machine_without_a_temporary_folder_is_told_which_variable_names_one():
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    assert describe_os_error(error) == (
        "TMPDIR: must name a folder that can be written to, but: No usable temporary directory found in ['/tmp']; "
        "set it to one"
    )


def test_no_room_is_told_also_without_a_path():
    assert (describe_os_error(OSError(errno.ENOSPC, "No space left on device")) or "").startswith(
        "disk: must have room"
    )


class OutOfMemoryError(RuntimeError):
    """As torch's own, whose module is not imported here."""


@pytest.mark.parametrize(
    ("error", "machines"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (EOFError("Compressed file ended"), False),
        (CaseError("a.nii.gz: label ids must be whole"), False),
    ],
    ids=repr,
)
def test_want_of_memory_and_a_flaky_disk_are_told_from_a_bad_file(tmp_path: Path, error: Exception, machines: bool):
    (tmp_path / "a.nii.gz").touch()

    with pytest.raises(CaseError) as raised, reading(tmp_path / "a.nii.gz"):
        raise error

    assert is_machines_fault(error) == machines
    assert is_machines_fault(raised.value) == machines
