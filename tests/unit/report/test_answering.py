"""Who is answered by the report's server, with which parts of a file, and what it makes of hostile requests."""

import os
import random
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.report import serve
from coordinator.report.answering import Server, Site, parse_range

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def site(tmp_path: Path) -> Site:
    run = tmp_path / "run"
    run.mkdir()
    (run / "index.html").write_text("a report")
    (run / "volume.nii.gz").write_bytes(CONTENT)
    (run / "empty.csv").touch()
    names = {"/": "index.html", "/volume.nii.gz": "volume.nii.gz", "/empty.csv": "empty.csv", "/gone": "gone"}
    return Site({address: run / name for address, name in names.items()}, {}, run)


@pytest.fixture
def server(site: Site) -> Iterator[Server]:
    with serve.make_server(site, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def send(server: Server, raw: bytes) -> bytes:
    """All that comes back for some bytes, until the server ends the connection or waits for more."""
    with socket.create_connection(server.server_address[:2], timeout=5) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while block := connection.recv(65536):
            received += block
    except ConnectionError:
        pass
    return received


def get(
    server: Server, path: str, *heads: str, method: str = "GET", with_cookie: bool = True
) -> tuple[int, dict[str, str], bytes]:
    """Status, heads and body of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *heads]
    if with_cookie:
        lines.append(f"Cookie: other=a b; {cookie(server)}; last=1")
    head, _, body = send(server, "\r\n".join([*lines, "", ""]).encode("latin1")).partition(b"\r\n\r\n")
    first, *rest = head.decode("latin1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in rest), body


def cookie(server: Server) -> str:
    _, heads, _ = get(server, f"/?token={server.token}", with_cookie=False)
    return heads["Set-Cookie"].partition(";")[0]


def test_without_the_token_nothing_is_answered_and_the_answer_says_what_to_do(server: Server):
    for path in ("/", "/volume.nii.gz", "/viewer/", "/viewer/cases.json", "/none", "/favicon.ico"):
        status, _, body = get(server, path, with_cookie=False)

        assert (status, b"open the address that `coordinator report --serve` printed" in body) == (403, True)
        assert get(server, path, method="HEAD", with_cookie=False)[::2] == (403, b"")


@pytest.mark.parametrize(
    "query",
    ["token=", "token=x", "token=%ff%00", "token=\xe9", "token", "token=a&" * 50, "TOKEN={}", "token={}x", "x={}"],
)
def test_a_wrong_token_is_none(server: Server, query: str):
    assert get(server, f"/?{query.replace('{}', server.token)}", with_cookie=False)[0] == 403


@pytest.mark.parametrize("value", ["", "=", "report-00000000=x", "report-00000000", ";;;=;", "\xe9=\xff", "a" * 5000])
def test_a_wrong_cookie_is_none(server: Server, value: str):
    name = cookie(server).partition("=")[0]

    assert get(server, "/", f"Cookie: {value}", with_cookie=False)[0] == 403
    assert get(server, "/", f"Cookie: {name}={value}", with_cookie=False)[0] == 403


def test_the_printed_address_gives_a_cookie_and_leads_to_the_same_address_without_the_token(server: Server):
    status, heads, body = get(server, f"/viewer/?token={server.token}", with_cookie=False)

    assert (status, heads["Location"], body) == (303, "/viewer/", b"")
    assert heads["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert heads["Referrer-Policy"] == "no-referrer"
    assert get(server, "/")[::2] == (200, b"a report")


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/%2f%2fevil.example/", "/%0d%0aSet-Cookie:%20a=b", "/\\evil.example"]
)
def test_the_token_leads_to_no_other_server_and_writes_no_head(server: Server, path: str):
    status, heads, _ = get(server, f"{path}?token={server.token}", with_cookie=False)

    assert status == 303
    assert heads["Location"].startswith("/")
    assert not heads["Location"].startswith(("//", "/\\"))
    assert heads["Set-Cookie"].startswith("report-")


def test_each_server_has_a_token_and_a_cookie_of_its_own(site: Site, server: Server):
    with serve.make_server(site, 0) as other:
        assert other.token != server.token
        assert len(other.token) >= 40


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=100-", 100, 10239), ("bytes=-5", 10235, 10239), ("bytes=-99999", 0, 10239),
     ("bytes=10-99999999999", 10, 10239), ("bytes=10239-10239", 10239, 10239)],
)  # fmt: skip
def test_a_range_is_answered_with_its_bytes(server: Server, header: str, first: int, last: int):
    status, heads, body = get(server, "/volume.nii.gz", f"Range: {header}")

    assert (status, body) == (206, CONTENT[first : last + 1])
    assert heads["Content-Range"] == f"bytes {first}-{last}/10240"
    assert heads["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("header", ["bytes=10240-", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(server: Server, header: str):
    status, heads, body = get(server, "/volume.nii.gz", f"Range: {header}")

    assert (status, heads["Content-Range"], body) == (416, "bytes */10240", b"")


@pytest.mark.parametrize(
    "header", ["bytes=0-1,5-6", "bytes=5-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=0x1-2", "lines=0-1", "", "0-1", f"bytes={'9' * 5000}-"]
)  # fmt: skip
def test_what_is_no_single_range_of_bytes_gets_the_whole_file(server: Server, header: str):
    status, heads, body = get(server, "/volume.nii.gz", f"Range: {header}")

    assert (status, body) == (200, CONTENT)
    assert heads["Accept-Ranges"] == "bytes"


def test_a_range_is_for_get_alone_and_not_for_another_version_of_the_file(server: Server):
    assert get(server, "/volume.nii.gz", "Range: bytes=0-1", method="HEAD")[0] == 200
    assert get(server, "/volume.nii.gz", "Range: bytes=0-1", 'If-Range: "tag"')[::2] == (200, CONTENT)


@pytest.mark.parametrize(("header", "parts"), [(None, None), ("bytes=0-", ()), ("bytes=-1", ())])
def test_no_range_of_an_empty_file_can_be_met(header: str | None, parts: tuple[()] | None):
    assert parse_range(header, 0) == parts


def test_a_file_that_is_gone_or_a_loop_of_links_is_not_found(server: Server, site: Site):
    assert get(server, "/gone")[0] == 404

    site.files["/gone"].symlink_to(site.files["/gone"])
    assert get(server, "/gone")[0] == 404


HOSTILE = [
    b"", b"\r\n", b"\x00\xff\xfe", b"GET", b"GET /", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.x\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"G\xc3\xa9T / HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET /%00%ff%zz?token=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: \x00\xff=\xfe; a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_request_gets_an_error_and_no_traceback(
    server: Server, raw: bytes, capfd: pytest.CaptureFixture[str]
):
    answer = send(server, raw)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 50", b"HTTP/1.1 100"))
    assert b"a report" not in answer
    assert capfd.readouterr() == ("", "")
    assert get(server, "/")[0] == 200


def test_bytes_at_random_get_no_traceback(server: Server, capfd: pytest.CaptureFixture[str]):
    draw = random.Random(int(os.environ.get("FUZZ_SEED", "0")))  # noqa: S311 - nothing secret
    good = f"GET /volume.nii.gz HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-5\r\nCookie: {cookie(server)}\r\n\r\n".encode()
    for _ in range(int(os.environ.get("FUZZ_COUNT", "100"))):
        raw = bytearray(good)
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(len(raw))
            raw[place : place + draw.randint(0, 4)] = draw.choice(
                [b"", b"\x00", b"\xff", b"\r\n", b" ", b":", b"9" * 40, b"%2e", b";"]
            )
        answer = send(server, bytes(raw))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (bytes(raw), answer)

    assert capfd.readouterr() == ("", "")


def test_a_body_is_no_next_request(server: Server):
    second = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie(server)}\r\n\r\n"
    first = f"GET /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(second)}\r\n\r\n{second}"

    assert b"a report" not in send(server, first.encode())


def test_a_browser_that_goes_away_is_no_news(server: Server, capfd: pytest.CaptureFixture[str]):
    head = f"GET /volume.nii.gz HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie(server)}\r\n\r\n".encode()
    for raw in (b"", b"GET / HT", head, head * 50):
        with socket.create_connection(server.server_address[:2], timeout=5) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            connection.sendall(raw)

    assert get(server, "/")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_unix_socket_is_for_its_owner_alone_and_goes_with_the_server(site: Site, tmp_path: Path):
    path = tmp_path / "report.sock"
    with serve.make_socket_server(site, path) as serving:
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        mode = path.stat().st_mode
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(
                f"GET /?token={serving.token} HTTP/1.1\r\nHost: localhost:8765\r\nConnection: close\r\n\r\n".encode()
            )
            answer = read_all(connection)
        serving.shutdown()

    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert answer.startswith(b"HTTP/1.1 303")
    assert not path.exists()


def test_an_abandoned_socket_is_taken_over_and_anything_else_left_alone(site: Site, tmp_path: Path):
    path, file, link = tmp_path / "s", tmp_path / "file", tmp_path / "link"
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    file.write_text("mine")
    link.symlink_to(file)

    with serve.make_socket_server(site, path):
        for taken, reason in {
            path: "another server listens there",
            file: "something else is there",
            link: "something else is there",
        }.items():
            with pytest.raises(UsageError, match=f"--socket {taken}: must be a path for a new socket, but: {reason}"):
                serve.make_socket_server(site, taken)
    assert file.read_text() == "mine"
    for path in (tmp_path / ("x" * 200), tmp_path / "none" / "s"):
        with pytest.raises(UsageError, match="must be a path for a new socket, but: "):
            serve.make_socket_server(site, path)
