"""Gzip files: read only where checksum and length are right; the same content is written as the same bytes."""

import gzip
import hashlib
import importlib
import importlib.util
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError

# zlib-ng inflates three times as fast. It is installed where many label maps are read; tools do without.
inflater: Any = importlib.import_module("zlib_ng.zlib_ng") if importlib.util.find_spec("zlib_ng") else zlib

COMPRESSION_LEVEL = 6
COMPRESSED_PIECE, PIECE = 1 << 16, 1 << 20
"""Bytes that are inflated at once, before and after; the result stays in the processor's cache until it is copied."""
FIRST_PIECE = 1 << 10
"""The first piece of a member: what lies behind the member's end is copied, and bgzip's members are short."""
MOST_RATIO = 1032
"""No byte inflates to more."""
SLACK = 16 << 20
"""Inflated bytes behind the expected ones that are passed over, to reach the checksum; more of them are refused."""
EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""With which bgzip ends a file."""


def compress(content: bytes) -> bytes:
    """Deflate; no time and no file name are stored."""
    return gzip.compress(content, COMPRESSION_LEVEL, mtime=0)


def decompress(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Inflate a gzip file of any length, checking its checksum and that its stream ends.

    Args:
        path: of the file, for messages.
        content: its bytes.

    Returns:
        (N,) the inflated bytes.

    Raises:
        CaseError: empty, not gzip, truncated or corrupt.
    """
    stream = GzipStream(path, io.BytesIO(content))
    return np.frombuffer(b"".join(iter(lambda: stream.read(PIECE), b"")), np.uint8)


class GzipStream:
    """Inflates a gzip file from its beginning, no more than is asked for, and hashes the file on the way.

    The time is linear in the file's size, whatever the number of its members.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Begin to read.

        Raises:
            CaseError: empty, or not gzip.
        """
        self._path, self._file = path, file
        self._digest = hashlib.sha256()
        self._input = memoryview(b"")
        self._member: Any = None
        self._piece = FIRST_PIECE
        if not self._fill(2):
            raise CaseError(f"{path}: file must not be empty, but has zero bytes; copy it again")
        if self._input[0] == 0 or not self._begin_member():
            raise CaseError(f"{path}: file must be gzip, but is not; compress it, or rename it to what it is")

    def read(self, most: int) -> bytes:
        """The next 1 to `most` inflated bytes; none where the stream has ended.

        Raises:
            CaseError: truncated or corrupt.
        """
        while self._member is not None or self._begin_member():
            if inflated := self._inflate(min(most, PIECE)):
                return inflated
        return b""

    def read_into(self, buffer: NDArray[np.uint8]) -> int:
        """Fill a buffer with the next inflated bytes; returns how many there were."""
        size = 0
        while size < len(buffer) and (inflated := self.read(len(buffer) - size)):
            buffer[size : size + len(inflated)] = np.frombuffer(inflated, np.uint8)
            size += len(inflated)
        return size

    def finish(self) -> tuple[str, list[str]]:
        """Check the checksum of what was read, and look at what lies behind it.

        Returns:
            The file's sha256, hex; and a note on further bytes of the stream, or behind it.

        Raises:
            CaseError: truncated, corrupt, or so many further bytes that they are not inflated.
        """
        further = 0
        while self._member is not None:
            further += len(self._inflate(PIECE))
            if further > SLACK:
                raise CaseError(
                    f"{self._path}: gzip stream must end after the voxels that the header announces, but over "
                    f"{SLACK >> 20} MiB follow; copy the file again, or repair its header"
                )
        notes = [f"{further} further bytes behind the voxels were passed over"] if further else []
        if behind := self._count_behind():
            notes.append(f"{behind} bytes behind the gzip stream were passed over")
        return self._digest.hexdigest(), notes

    def _begin_member(self) -> bool:
        """Go to the next member, over the zeros that may lie before it; False where there is none."""
        while self._fill(2) and not self._input[0]:
            head = bytes(self._input[:FIRST_PIECE])
            self._input = self._input[len(head) - len(head.lstrip(b"\0")) :]
        if bytes(self._input[:2]) != b"\x1f\x8b":
            return False
        self._member, self._piece = inflater.decompressobj(wbits=31), FIRST_PIECE
        return True

    def _inflate(self, most: int) -> bytes:
        """Inflate a piece of the member; there may be no byte in it."""
        self._fill(1)
        given = self._input[: self._piece]
        try:
            inflated = bytes(self._member.decompress(given, most))
        except inflater.error as error:
            raise CaseError(f"{self._path}: gzip stream is corrupt ({error}); copy the file again") from None
        left = len(self._member.unused_data if self._member.eof else self._member.unconsumed_tail)
        self._input = self._input[len(given) - left :]
        if self._member.eof:
            self._member = None
        elif not (inflated or given):
            raise CaseError(f"{self._path}: gzip stream is truncated: it ends in the middle; copy the file again")
        self._piece = min(4 * self._piece, COMPRESSED_PIECE)
        return inflated

    def _fill(self, least: int) -> bool:
        """Have at least so many bytes of the file at hand, where it has them; False at its end."""
        if len(self._input) < least:
            piece = self._file.read(COMPRESSED_PIECE)
            self._digest.update(piece)
            self._input = memoryview(bytes(self._input) + piece)
        return len(self._input) > 0

    def _pieces_behind(self) -> Iterator[memoryview]:
        while self._fill(1):
            yield self._input
            self._input = memoryview(b"")

    def _count_behind(self) -> int:
        """Count the bytes behind the member that was read; 0 where they are padding, or the end that bgzip writes."""
        self._fill(len(EMPTY_BLOCK))
        if bytes(self._input[: len(EMPTY_BLOCK)]) == EMPTY_BLOCK:
            self._input = self._input[len(EMPTY_BLOCK) :]
        size, is_padding = 0, True
        for piece in self._pieces_behind():
            is_padding = is_padding and not np.frombuffer(piece, np.uint8).any()
            size += len(piece)
        return 0 if is_padding else size
