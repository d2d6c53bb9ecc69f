"""Gzip files: read only where checksum and length are right; the same content is written as the same bytes."""

import gzip
import importlib
import importlib.util
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import CaseError

# zlib-ng inflates three times as fast. It is installed where many label maps are read; tools do without.
inflater: Any = importlib.import_module("zlib_ng.zlib_ng") if importlib.util.find_spec("zlib_ng") else zlib

COMPRESSION_LEVEL = 6
COMPRESSED_PIECE, PIECE = 1 << 16, 1 << 20
"""Bytes that are inflated at once, before and after; the result stays in the processor's cache until it is copied."""


def compress(content: bytes) -> bytes:
    """Deflate; no time and no file name are stored."""
    return gzip.compress(content, COMPRESSION_LEVEL, mtime=0)


def decompress(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Inflate a gzip file, checking its checksum and that its stream ends.

    Args:
        path: of the file, for messages.
        content: its bytes.

    Returns:
        (N,) the inflated bytes.

    Raises:
        CaseError: empty, not gzip, truncated or corrupt.
    """
    if not content:
        raise CaseError(f"{path}: file must not be empty, but has zero bytes; copy it again")
    if content[:2] != b"\x1f\x8b":
        raise CaseError(f"{path}: file must be gzip, but is not; compress it, or rename it to what it is")
    # A gzip file ends with its inflated size. A broken one may end with any number, but no byte inflates to over 1032.
    buffer = np.empty(max(min(int.from_bytes(content[-4:], "little"), 1032 * len(content)), PIECE), np.uint8)
    size = 0
    while content:
        stream, position, piece = inflater.decompressobj(wbits=31), 0, b""
        while not stream.eof:
            if not piece:
                piece, position = content[position : position + COMPRESSED_PIECE], position + COMPRESSED_PIECE
            inflated = _inflate(path, stream, piece)
            piece = stream.unconsumed_tail
            if not (inflated or piece or position < len(content) or stream.eof):
                raise CaseError(f"{path}: gzip stream is truncated: it ends in the middle; copy the file again")
            if size + len(inflated) > len(buffer):
                buffer = np.concatenate([buffer[:size], np.empty(size + PIECE, np.uint8)])
            buffer[size : size + len(inflated)] = np.frombuffer(inflated, np.uint8)
            size += len(inflated)
        content = (stream.unused_data + content[position:]).lstrip(b"\0")
    return buffer[:size]


def _inflate(path: Path, stream: Any, piece: bytes) -> bytes:  # noqa: ANN401 - of zlib or of zlib-ng
    try:
        return bytes(stream.decompress(piece, PIECE))
    except inflater.error as error:
        raise CaseError(f"{path}: gzip stream is corrupt ({error}); copy the file again") from None
