"""A registry of images for tests: what `docker push` needs of one, in memory, at an address of this machine."""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from helpers.servers import run_server


class _Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]

    def do_GET(self) -> None:
        self._answer(200)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.rpartition("/")[2] in self.blobs else 404)

    def do_POST(self) -> None:
        self._answer(202, Location=f"{self.path}{uuid.uuid4()}")

    def do_PATCH(self) -> None:
        self.blobs[self.path] = self._read()
        self._answer(202, Location=self.path, Range=f"0-{len(self.blobs[self.path]) - 1}")

    def do_PUT(self) -> None:
        content = self._read() or self.blobs.pop(self.path.partition("?")[0], b"")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        self._answer(201, Location=self.path, **{"Docker-Content-Digest": digest})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def registry() -> Iterator[str]:
    """Its address; engines speak plain HTTP to registries of 127.0.0.1."""
    handler = type("Registry", (_Registry,), {"blobs": {}})
    with run_server(handler) as address:
        yield address.removeprefix("http://")
