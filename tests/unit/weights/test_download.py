"""Downloads: resumed after an interruption, through proxies and over HTTPS; what a server may do wrong."""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.needs import skip_or_fail
from helpers.servers import Files, file_server, proxy_server
from helpers.weights import ONE, OTHER, SHORT, fetch, fetch_one, list_hidden, make_fetcher, start_fetch

from contract.errors import CaseError
from coordinator.tools.finding import find_tools
from coordinator.weights import formats
from coordinator.weights.listing import select_weights


def test_a_broken_download_is_resumed(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.drops, server.drop_after = 3, 131_072

    fetch_one(tmp_path / "w")

    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE
    starts = [int(header[6:-1]) if header else 0 for _, header in server.asked]
    assert starts == [0, 131_072, 262_144, 393_216]


def test_a_server_that_stays_broken_is_given_up_and_the_part_stays(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    (item,) = select_weights(find_tools(), ["net"])
    fetcher = make_fetcher(tmp_path / "w")
    server.drops, server.drop_after, server.ranges = 100, 131_072, "no"

    with pytest.raises(CaseError, match=r"must be reachable, but: .*coordinator weights fetch --from FOLDER net-one"):
        fetcher.fetch(item)
    assert (tmp_path / "w/net/.one.pt.part").stat().st_size == 131_072

    server.drops, server.ranges = 0, "yes"
    fetcher.fetch(item)
    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE
    assert server.asked[-1] == ("/one.pt", "bytes=131072-")


@pytest.mark.parametrize("validator", ["weak", "none"])
def test_without_a_validator_a_part_is_never_continued(
    tool: Callable[..., None], tmp_path: Path, server: Files, validator: str
) -> None:
    server.drops, server.drop_after, server.validator = 1, 131_072, validator

    fetch_one(tmp_path / "w")

    assert [asked for _, asked in server.asked] == [None, None]
    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE


def test_a_server_that_ignores_range_sends_everything_and_the_file_is_right(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.drops, server.drop_after, server.ranges = 1, 131_072, "no"

    fetch_one(tmp_path / "w")

    assert len(server.asked) == 2
    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE


@pytest.mark.parametrize("ranges", ["yes", "blind"])
@pytest.mark.parametrize("other", [OTHER, OTHER + b"longer", SHORT])
def test_a_file_that_changed_in_between_is_downloaded_again(
    tool: Callable[..., None], tmp_path: Path, server: Files, ranges: str, other: bytes
) -> None:
    (item,) = select_weights(find_tools(), ["net"])
    server.drops, server.drop_after, server.ranges = 9, 131_072, "no"
    with pytest.raises(CaseError):
        make_fetcher(tmp_path / "w").fetch(item)

    server.drops, server.ranges = 0, ranges
    server.content["/one.pt"] = other
    make_fetcher(tmp_path / "w").fetch(item)

    assert (tmp_path / "w/net/one.pt").read_bytes() == other


def test_a_server_that_is_busy_is_asked_again(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.fails = [503]

    fetch_one(tmp_path / "w")

    assert len(server.asked) == 2


def test_a_web_page_is_refused(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.content_type = "text/html; charset=utf-8"

    with pytest.raises(CaseError, match="must be a file, but the server answered with a web page"):
        fetch_one(tmp_path / "w")

    assert not (tmp_path / "w/net/one.pt").exists()


def test_ctrl_c_leaves_a_part_that_the_next_run_resumes(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.hold, server.drop_after = threading.Event(), 200_000
    process = start_fetch("net", stderr=subprocess.PIPE)
    part = tmp_path / "weights/net/.one.pt.part"
    # a process that dies must not leave the test waiting
    while process.poll() is None and not (part.exists() and part.stat().st_size >= 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, b"interrupted; the next run goes on from here" in errors) == (143, True)
    size = part.stat().st_size
    assert 0 < size <= 200_000
    server.hold.set()
    server.hold = None

    code, _ = fetch("net")

    assert code == 0
    assert server.asked[-1] == ("/one.pt", f"bytes={size}-")
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE


def test_the_proxy_of_the_environment_is_used(
    tool: Callable[..., None], server: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_server() as (address, requests):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("http_proxy", address)

        code, output = fetch("net")

    assert code == 0, output
    assert requests == [f"GET {server.url('/one.pt')} HTTP/1.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that no authority has signed, and its key, in one file."""
    if shutil.which("openssl") is None:
        skip_or_fail("no openssl to make a certificate with")
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", file, "-out", f"{file}.crt",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


def test_https_goes_through_the_proxy_and_trusts_the_systems_certificates(
    tool: Callable[..., None], tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with file_server({"/one.pt": ONE}, certificate) as secure, proxy_server() as (address, requests):
        tool(url=secure.url("/one.pt"))
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(CaseError, match="certificate verify failed"):
            fetch_one(tmp_path / "w")

        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        fetch_one(tmp_path / "w")

    assert {line.rsplit(" ", 1)[0] for line in requests} == {f"CONNECT {secure.address.removeprefix('https://')}"}
    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE


def test_an_invalid_address_is_not_tried_again(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(url="ftp://127.0.0.1/one.pt")

    with pytest.raises(CaseError, match="must be an address to fetch from, but"):
        fetch_one(tmp_path / "w")


@pytest.mark.parametrize("size_mb", [0.64, None])
def test_a_body_of_unknown_length_is_not_written_beyond_what_the_file_may_have(
    tool: Callable[..., None], tmp_path: Path, server: Files, size_mb: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "OTHER_BYTES", 740_000)
    tool(size_mb=size_mb)
    server.content["/one.pt"], server.sends_size = ONE + bytes(5_000_000), False
    most = 0
    (item,) = select_weights(find_tools(), ["net-one"])
    part = tmp_path / "w/net/.one.pt.part"

    def measure(done: int, size: int | None) -> None:
        nonlocal most
        most = max(most, part.stat().st_size if part.exists() else 0)

    with pytest.raises(CaseError, match=r"one\.pt: must be a file of at most 0\.74 MB, but has at least 0\.\d+ MB"):
        replace(make_fetcher(tmp_path / "w"), show_progress=measure).fetch(item)

    assert 0 < most <= 740_000
    assert list_hidden(tmp_path / "w") == set()


def test_a_short_body_of_unknown_length_is_another_size(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    tool(size_mb=0.64)
    server.content["/one.pt"], server.sends_size = ONE[:100_000], False

    with pytest.raises(CaseError, match=r"net/one\.pt: must have about 0\.64 MB, but has 0\.1 MB"):
        fetch_one(tmp_path / "w")

    assert list_hidden(tmp_path / "w") == set()


@pytest.mark.parametrize("claimed", [100, 10_000_000])
def test_a_false_length_never_gives_a_file(
    tool: Callable[..., None], tmp_path: Path, server: Files, claimed: int
) -> None:
    server.claims_size = claimed

    with pytest.raises(CaseError, match="must be reachable, but|cut short or damaged"):
        fetch_one(tmp_path / "w")

    assert not (tmp_path / "w/net/one.pt").exists()


def test_a_stated_length_above_the_limit_is_refused_before_anything_comes(
    tool: Callable[..., None], tmp_path: Path, server: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "OTHER_BYTES", 1000)

    with pytest.raises(CaseError, match=r"must be a file of at most 0\.001 MB, but has at least 0\.64"):
        fetch_one(tmp_path / "w")

    assert list_hidden(tmp_path / "w") == set()


def test_a_file_that_is_cut_short_without_a_stated_length_is_noticed(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.content["/one.pt"], server.sends_size = ONE[:-100], False

    with pytest.raises(CaseError, match=r"one\.pt\.part: must be a whole file, but is cut short or damaged"):
        fetch_one(tmp_path / "w")

    assert list_hidden(tmp_path / "w") == set()
