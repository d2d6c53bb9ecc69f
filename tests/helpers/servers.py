"""Real HTTP servers for tests of downloads: one with files, which can misbehave, and a proxy that records requests."""

import hashlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Files:
    """A server's files, its behaviour, and the requests that it got.

    Attributes:
        content: path -> bytes.
        drops: number of answers that break off, each after `drop_after` bytes.
        ranges: whether it heeds Range; `blind` heeds it regardless of If-Range.
        validator: kind of the ETag: `etag` for one of the content, `weak`, or `none`.
        fails: status codes of the next answers.
        claims_size: the Content-Length that is stated in place of the true one.
        sends_size: whether there is a Content-Length; without one, the end of the connection is the end of the body.
        hold: if set, an answer stops after `drop_after` bytes until this event.
        asked: (path, Range header) of each request.
    """

    content: dict[str, bytes]
    drops: int = 0
    drop_after: int = 0
    ranges: str = "yes"
    validator: str = "etag"
    content_type: str = "application/octet-stream"
    fails: list[int] = field(default_factory=list)
    claims_size: int | None = None
    sends_size: bool = True
    hold: threading.Event | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""

    def url(self, path: str) -> str:
        return self.address + path


@contextmanager
def file_server(content: dict[str, bytes], certificate: Path | None = None) -> Iterator[Files]:
    """Serve files on 127.0.0.1; with a certificate (and its key in one file), over HTTPS."""
    files = Files(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            send_answer(self, files)

    with run_server(Handler, certificate) as address:
        files.address = address
        yield files


def send_answer(handler: BaseHTTPRequestHandler, files: Files) -> None:
    asked = handler.headers.get("Range")
    files.asked.append((handler.path, asked))
    handler.close_connection = True
    body = files.content.get(handler.path)
    if files.fails or body is None:
        handler.send_error(files.fails.pop(0) if files.fails else 404)
        return
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    same = files.ranges == "blind" or handler.headers.get("If-Range") in (None, etag)
    start = int(asked[len("bytes=") : -1]) if asked and files.ranges != "no" and same else None
    if start is not None and start >= len(body):
        handler.send_error(416)
        return
    handler.send_response(200 if start is None else 206)
    if start is not None:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    if files.sends_size:
        handler.send_header("Content-Length", str(files.claims_size or len(body) - (start or 0)))
    else:
        handler.send_header("Connection", "close")
    handler.send_header("Content-Type", files.content_type)
    if files.validator != "none":
        handler.send_header("ETag", etag if files.validator == "etag" else f"W/{etag}")
    handler.end_headers()
    _send(handler, files, body[start or 0 :])


def _send(handler: BaseHTTPRequestHandler, files: Files, body: bytes) -> None:
    if files.drops or files.hold:
        handler.wfile.write(body[: files.drop_after])
        handler.wfile.flush()
    if files.drops:
        files.drops -= 1
        handler.connection.shutdown(socket.SHUT_RDWR)
        return
    if files.hold:
        files.hold.wait(30)
        body = body[files.drop_after :]
    with suppress(BrokenPipeError, ConnectionResetError):  # the client was interrupted
        handler.wfile.write(body)


@contextmanager
def proxy_server() -> Iterator[tuple[str, list[str]]]:
    """Run a proxy; yield its address and the first lines of the requests that it got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            requests.append(self.requestline)
            parts = urlsplit(self.path)
            upstream = HTTPConnection(parts.netloc, timeout=10)
            upstream.request("GET", parts.path, headers=dict(self.headers))
            response = upstream.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.read())
            upstream.close()

        def do_CONNECT(self) -> None:
            requests.append(self.requestline)
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as upstream:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, upstream)
            self.close_connection = True

    with run_server(Handler) as address:
        yield address, requests


def _relay(client: socket.socket, upstream: socket.socket) -> None:
    """Copy bytes both ways until one side ends."""
    while True:
        ready, _, _ = select.select([client, upstream], [], [], 10)
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            (upstream if source is client else client).sendall(piece)
        if not ready:
            return


@contextmanager
def run_server(handler: type[BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[str]:
    """Answer requests on 127.0.0.1 with a handler; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
