"""Answers requests for a run's files, from those who have the token that was printed; `serve` says which files.

    address with ?token=…  ──►  cookie, and the same address without it  ──►  files, whole or in ranges
    anything else          ──►  403

No request ends in a traceback: what is no HTTP gets an error's status, and what breaks off is dropped.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import socketserver
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, quote, unquote

from contract.datasets import SUFFIX

IMAGES = "/volumes/image/"
VIEWER = Path(__file__).parent / "viewer"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".gz": "application/gzip",
}
PLAIN = "text/plain; charset=utf-8"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self' data: blob: 'unsafe-inline'; frame-ancestors 'none'",
}
NO_TOKEN = b"403: open the address that `coordinator report --serve` printed; it holds a token.\n"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Site:
    """All that is served.

    Attributes:
        files: address -> file; nothing else is ever opened.
        cases: dataset -> its labels and cases with the addresses of their volumes; what `cases.json` holds.
        root: the run folder, resolved.
    """

    files: Mapping[str, Path]
    cases: Mapping[str, Any]
    root: Path

    def find(self, address: str) -> Path | None:
        """The file behind an address; None where there is none, or where a link leads out of the allowed folders."""
        file = self.files.get(address)
        if file is None:
            return None
        try:
            real = file.resolve()
            if not real.is_file():
                return None
        except (OSError, RuntimeError):  # a loop of links
            return None
        if address.startswith(IMAGES):
            return real if real.name.endswith(SUFFIX) else None
        allowed = VIEWER.resolve() if address.startswith("/viewer/") else self.root
        return real if real.is_relative_to(allowed) else None


class _Quiet(socketserver.BaseServer):
    """What both servers do: they know site and token, and print one line where a request can't be answered."""

    site: Site
    token: str

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what went wrong with a request, unless the browser went away; the server goes on."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"error: a request could not be answered: {type(error).__name__}: {error}\n")


class Server(_Quiet, ThreadingHTTPServer):
    """A server on an address of this machine, with a token of its own."""

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site, self.token = site, secrets.token_urlsafe(32)
        super().__init__(address, Handler)


class SocketServer(_Quiet, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The same on a Unix socket, which only its owner can open."""

    daemon_threads = True

    def __init__(self, path: Path, site: Site) -> None:
        self.site, self.token, self.path = site, secrets.token_urlsafe(32), path.absolute()
        before = os.umask(0o177)
        try:
            super().__init__(str(self.path), Handler)
        finally:
            os.umask(before)

    def server_close(self) -> None:
        """Close the socket, and remove it."""
        super().server_close()
        self.path.unlink(missing_ok=True)


class Handler(BaseHTTPRequestHandler):
    """Answers from a site's table; the base class refuses all methods but GET and HEAD."""

    server: Server | SocketServer
    server_version = "coordinator"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer with head and body."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with the head alone."""
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: names of cases don't belong on a terminal that others see."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no proper request, without a page that repeats it."""
        self.close_connection = True
        self.request_version = self.protocol_version
        self._send(HTTPStatus(code), b"")

    def _answer(self) -> None:
        self.request_version = self.protocol_version  # HTTP/0.9 is answered with a head too
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body is never read, and is no next request
        # A page elsewhere that points its own name at this address (DNS rebinding) must not read patients' volumes.
        if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", self.headers.get("Host", "")):
            self._send(HTTPStatus.FORBIDDEN, b"")
            return
        path, _, query = self.path.partition("?")
        address = unquote(path)
        if self._is_token(dict(_parse_query(query)).get("token", "")):
            cookie = f"{_cookie_name(self.server.token)}={self.server.token}; Path=/; HttpOnly; SameSite=Lax"
            self._send(HTTPStatus.SEE_OTHER, b"", {"Location": quote(f"/{address.lstrip('/')}"), "Set-Cookie": cookie})
        elif not self._is_token(self._read_cookie()):
            self._send(HTTPStatus.FORBIDDEN, NO_TOKEN)
        elif address == "/viewer":
            self._send(HTTPStatus.MOVED_PERMANENTLY, b"", {"Location": "/viewer/"})
        elif address == "/favicon.ico":  # browsers ask for it unasked, and call it an error if there is none
            self._send(HTTPStatus.NO_CONTENT, b"")
        elif address == "/viewer/cases.json":
            self._send(HTTPStatus.OK, json.dumps(self.server.site.cases).encode(), content_type=TYPES[".json"])
        else:
            self._send_file(self.server.site.find(address))

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.server.token.encode())

    def _read_cookie(self) -> str:
        """Our cookie's value; the cookies of other servers of this machine come along, whatever is in them."""
        for header in self.headers.get_all("Cookie", []):
            for part in str(header).split(";"):
                name, _, value = part.strip().partition("=")
                if name == _cookie_name(self.server.token):
                    return value
        return ""

    def _send_file(self, file: Path | None) -> None:
        try:
            stream = file.open("rb") if file else None
        except OSError:  # it was removed, or may not be read
            stream = None
        if file is None or stream is None:
            self._send(HTTPStatus.NOT_FOUND, b"")
            return
        with stream:
            size = os.fstat(stream.fileno()).st_size
            wanted = parse_range(self.headers.get("Range"), size) if self._may_range() else None
            heads = {"Accept-Ranges": "bytes"}
            if wanted == ():
                heads["Content-Range"] = f"bytes */{size}"
                self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", heads)
                return
            first, last = wanted or (0, size - 1)
            if wanted:
                heads["Content-Range"] = f"bytes {first}-{last}/{size}"
            status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
            self._send_head(status, TYPES.get(file.suffix, PLAIN), last - first + 1, heads)
            if self.command == "GET":
                self._copy(stream, first, last - first + 1)

    def _may_range(self) -> bool:
        """Whether a range may be sent: answers have no date or tag that `If-Range` could name."""
        return self.command == "GET" and "If-Range" not in self.headers

    def _copy(self, stream: BinaryIO, first: int, length: int) -> None:
        """Send a part of a file; where it has become shorter, the connection ends, so that nobody waits for more."""
        stream.seek(first)
        with suppress(ConnectionError):  # a browser that went on to another case
            while length:
                block = stream.read(min(length, BLOCK))
                if not block:
                    self.close_connection = True
                    return
                self.wfile.write(block)
                length -= len(block)

    def _send(
        self, status: HTTPStatus, content: bytes, further: Mapping[str, str] | None = None, content_type: str = PLAIN
    ) -> None:
        self._send_head(status, content_type, len(content), further)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_head(
        self, status: HTTPStatus, content_type: str, length: int, further: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        heads = {"Content-Type": content_type, "Content-Length": str(length), **HEADERS, **(further or {})}
        if self.close_connection:
            heads["Connection"] = "close"
        for name, value in heads.items():
            self.send_header(name, value)
        self.end_headers()


def parse_range(header: str | None, size: int) -> tuple[int, int] | tuple[()] | None:
    """Which bytes a `Range` header asks for.

    Args:
        header: its value.
        size: of the file, in bytes.

    Returns:
        First and last byte; an empty tuple where the file has none of them; None where the whole file is to be sent:
        without a header, for what is no range of bytes, and for several ranges.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,30})-([0-9]{0,30})", (header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":  # the last bytes
        length = min(int(match[2]), size)
        return (size - length, size - 1) if length else ()
    first, last = int(match[1]), int(match[2] or max(size - 1, int(match[1])))
    if last < first:
        return None
    return (first, min(last, size - 1)) if first < size else ()


def _parse_query(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=20)
    except ValueError:
        return []


def _cookie_name(token: str) -> str:
    """Each server's own, since browsers send the cookies of all ports of a machine to each of them."""
    return f"report-{hashlib.sha256(token.encode()).hexdigest()[:8]}"
