"""Standard output and error that end no study: what can't be shown is replaced, a terminal that is gone is let go."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""What writing to a pipe without a reader gives, and to a terminal that was closed."""


class _Outlet(io.FileIO):
    """A descriptor that takes everything once nobody is at its other end."""

    def write(self, content: "Buffer", /) -> int:
        """Write bytes; those that nobody would read go nowhere, as do all after a first error, which is raised."""
        try:
            return super().write(content)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno not in _GONE:
                error.filename = self.name
                raise
            return memoryview(content).nbytes


def prepare() -> None:
    """Replace standard output and error by streams that fail for no character and no closed terminal."""
    for descriptor in (0, 1, 2):
        _open_if_closed(descriptor)
    sys.stdout = _make_stream(sys.stdout, 1)
    sys.stderr = _make_stream(sys.stderr, 2)


def _make_stream(stream: TextIO | None, descriptor: int) -> TextIO:
    outlet = _Outlet(descriptor, "wb", closefd=False)
    outlet.name = "standard output" if descriptor == 1 else "standard error"
    encoding = stream.encoding if stream is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(outlet), encoding, errors="replace", line_buffering=descriptor == 2 or os.isatty(descriptor)
    )


def _open_if_closed(descriptor: int) -> None:
    """Give a closed descriptor to nobody, before a file of ours gets its number, and our messages."""
    try:
        os.fstat(descriptor)
    except OSError:  # it is closed
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
