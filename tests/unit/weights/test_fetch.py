"""`coordinator weights`: weights come whole, checked and once, whatever servers, disks and users do."""

import hashlib
import io
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from helpers.needs import missing
from helpers.servers import Files, file_server, proxy_server

from contract.errors import CaseError, UsageError
from contract.weights import check_weights, read_sums
from coordinator.cli.weights import weights
from coordinator.tools.finding import find_tool, find_tools
from coordinator.weights.download import Downloader, new_session
from coordinator.weights.fetch import Fetcher
from coordinator.weights.listing import all_items, wanted_items

ONE = hashlib.sha256(b"one").digest() * 20_000
"""640 kB that don't repeat within a packet."""
SHA256 = hashlib.sha256(ONE).hexdigest()


def zipped(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    return buffer.getvalue()


MANY_FILES = {"Many/plans.json": b"{}", "Many/fold_0/checkpoint.pth": ONE}
MANY = zipped({"Many/": b"", **MANY_FILES})


@pytest.fixture
def server() -> Iterator[Files]:
    with file_server({"/one.pt": ONE, "/v2/Many.zip": MANY, "/terms.pt": b"terms", "/two.pt": b"two"}) as files:
        yield files


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies of the machine; a working folder and tools of the test's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "tools"))
    monkeypatch.chdir(tmp_path)


def write_tool(folder: Path, entries: dict[str, list[dict[str, object]]], name: str = "net") -> None:
    """A tool whose variants need the given weights; the first variant is the default."""
    manifest = {
        "contract": 1, "name": name, "version": "0.1.0", "kind": "generator", "summary": "x", "licence": "MIT",
        "default_variant": next(iter(entries)),
        "variants": {v: {"summary": v, "labels": {1: "liver"}, "weights": e} for v, e in entries.items()},
    }  # fmt: skip
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


@pytest.fixture
def tool(tmp_path: Path, server: Files) -> Callable[..., None]:
    """Writes the tool `net`: variants one (a file) and many (an archive); keywords change both entries."""

    def make(**changes: object) -> None:
        entries = {
            "one": {"file": "one.pt", "url": server.url("/one.pt"), "licence": "MIT"},
            "many": {"file": "Many", "url": server.url("/v2/Many.zip"), "archive": "zip", "licence": "MIT"},
        }
        changed = {v: [{k: x for k, x in {**e, **changes}.items() if x is not None}] for v, e in entries.items()}
        write_tool(tmp_path / "tools", changed)

    make()
    return make


def coordinator(*arguments: str) -> Result:
    return CliRunner().invoke(weights, arguments, standalone_mode=False, catch_exceptions=False)


def fetch(*arguments: str) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    result = coordinator("fetch", *arguments)
    return result.return_value or 0, result.output


def fetcher(root: Path, mirror: Path | str | None = None, timeout_s: float = 5) -> Fetcher:
    """As the command line makes it, but in a hurry and without a display."""
    downloader = Downloader(new_session(), pause_s=0.01, timeout_s=(timeout_s, timeout_s))
    return Fetcher(root, downloader, mirror, lambda item: True, lambda line: None, lambda done, size: None)


def fetch_one(root: Path, mirror: Path | str | None = None) -> str:
    (item,) = wanted_items(find_tools(), ["net-one"])
    return fetcher(root, mirror).fetch(item)


def hidden(root: Path) -> set[str]:
    """Names of what a fetch leaves beside results."""
    return {path.name for path in (root / "net").glob(".*")} - {".fetch.lock"}


def test_a_file_comes_and_its_sha256_is_recorded_and_enforced(tool: Callable[..., None], tmp_path: Path) -> None:
    code, output = fetch("net")

    assert (code, "net/one.pt: fetched; its sha256 is recorded" in output) == (0, True)
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE
    assert read_sums(tmp_path / "weights/net") == {"one.pt": SHA256}
    assert hidden(tmp_path / "weights") == set()
    check_weights(find_tool("net").manifest, "one", tmp_path / "weights")


def test_what_is_there_is_not_fetched_again(tool: Callable[..., None], server: Files) -> None:
    fetch("--all")
    asked = list(server.asked)

    code, output = fetch("--all")

    assert (code, output.count("is there")) == (0, 2)
    assert server.asked == asked


def test_an_archive_is_unpacked_and_each_of_its_files_recorded(tool: Callable[..., None], tmp_path: Path) -> None:
    code, _ = fetch("net-many")

    assert code == 0
    root = tmp_path / "weights/net"
    assert {name: (root / name).read_bytes() for name in read_sums(root)} == MANY_FILES
    assert hidden(tmp_path / "weights") == set()
    check_weights(find_tool("net").manifest, "many", tmp_path / "weights")


def test_a_broken_connection_is_taken_up_where_it_broke(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.drops, server.drop_after = 3, 131_072

    fetch_one(tmp_path / "w")

    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE
    starts = [int(asked[6:-1]) if asked else 0 for _, asked in server.asked]
    assert starts == [0, 131_072, 262_144, 393_216]


def test_a_server_that_stays_broken_is_given_up_and_the_part_stays(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    (item,) = wanted_items(find_tools(), ["net"])
    all_fail = fetcher(tmp_path / "w")
    server.drops, server.drop_after, server.ranges = 100, 131_072, "no"

    with pytest.raises(CaseError, match=r"must be reachable, but: .*coordinator weights fetch --from FOLDER net-one"):
        all_fail.fetch(item)
    assert (tmp_path / "w/net/.one.pt.part").stat().st_size == 131_072

    server.drops, server.ranges = 0, "yes"
    all_fail.fetch(item)
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
@pytest.mark.parametrize("other", [ONE[::-1], ONE[::-1] + b"longer", b"short"])
def test_a_file_that_changed_in_between_is_begun_again(
    tool: Callable[..., None], tmp_path: Path, server: Files, ranges: str, other: bytes
) -> None:
    (item,) = wanted_items(find_tools(), ["net"])
    server.drops, server.drop_after, server.ranges = 9, 131_072, "no"
    with pytest.raises(CaseError):
        fetcher(tmp_path / "w").fetch(item)

    server.drops, server.ranges = 0, ranges
    server.content["/one.pt"] = other
    fetcher(tmp_path / "w").fetch(item)

    assert (tmp_path / "w/net/one.pt").read_bytes() == other


def test_a_server_that_is_busy_is_asked_again(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.fails = [503]

    fetch_one(tmp_path / "w")

    assert len(server.asked) == 2


def test_a_web_page_is_no_file(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.content_type = "text/html; charset=utf-8"

    with pytest.raises(CaseError, match="must be a file, but the server answered with a web page"):
        fetch_one(tmp_path / "w")

    assert not (tmp_path / "w/net/one.pt").exists()


def test_a_missing_file_says_where_to_put_it(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    del server.content["/one.pt"]

    with pytest.raises(CaseError, match=r"one\.pt: must exist, but the server answered 404; get one\.pt from http"):
        fetch_one(tmp_path / "w")


def test_another_size_than_the_manifests_is_refused_before_it_is_fetched(
    tool: Callable[..., None], tmp_path: Path
) -> None:
    tool(size_mb=117)

    with pytest.raises(CaseError, match=r"net/one\.pt: must have about 117 MB, but has 0\.64 MB"):
        fetch_one(tmp_path / "w")

    assert hidden(tmp_path / "w") == set()


def test_a_published_sha256_is_enforced_and_what_is_wrong_is_thrown_away(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    tool(sha256=SHA256)
    server.content["/one.pt"] = ONE[:-1] + b"!"

    with pytest.raises(CaseError, match=rf"must be what is published, but one.pt must have sha256 {SHA256}, but has "):
        fetch_one(tmp_path / "w")
    assert hidden(tmp_path / "w") == set()

    server.content["/one.pt"] = ONE
    assert fetch_one(tmp_path / "w") == "fetched; its sha256 is the published one"


def test_a_recorded_sha256_is_enforced_when_it_is_fetched_again(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    fetch("--all")
    (tmp_path / "weights/net/one.pt").unlink()
    shutil.rmtree(tmp_path / "weights/net/Many")
    server.content["/one.pt"] = ONE[::-1]
    server.content["/v2/Many.zip"] = zipped({**MANY_FILES, "Many/plans.json": b"[]"})

    code, output = fetch("--all")

    assert code == 3
    assert "one.pt must have sha256" in output
    assert "Many/plans.json must have sha256" in output
    assert "recorded at the first fetch" in output
    assert {p.name for p in (tmp_path / "weights/net").iterdir()} == {"SHA256SUMS", ".fetch.lock"}


def test_a_new_published_sha256_replaces_the_old_file(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    fetch_one(tmp_path / "w")
    server.content["/one.pt"] = ONE[::-1]
    tool(sha256=hashlib.sha256(ONE[::-1]).hexdigest())

    fetch_one(tmp_path / "w")

    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE[::-1]


def test_a_file_that_a_person_put_there_is_recorded(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    (tmp_path / "w/net").mkdir(parents=True)
    (tmp_path / "w/net/one.pt").write_bytes(ONE)

    assert fetch_one(tmp_path / "w") == "was there; its sha256 is recorded now"

    assert read_sums(tmp_path / "w/net") == {"one.pt": SHA256}
    assert server.asked == []


def test_a_wrong_file_that_a_person_put_there_is_not_touched(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(sha256=SHA256)
    place = tmp_path / "w/net/one.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"other")

    with pytest.raises(CaseError, match=rf"must be what is published, but .*; remove {place}, then fetch it again"):
        fetch_one(tmp_path / "w")

    assert place.read_bytes() == b"other"


@pytest.mark.parametrize("name", ["one.pt", "net/one.pt"])
def test_a_mirror_folder_serves_a_file(tool: Callable[..., None], tmp_path: Path, server: Files, name: str) -> None:
    (tmp_path / "mirror/net").mkdir(parents=True)
    (tmp_path / "mirror" / name).write_bytes(ONE)

    code, _ = fetch("net", "--from", "mirror")

    assert (code, server.asked) == (0, [])
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE
    assert (tmp_path / "mirror" / name).read_bytes() == ONE


@pytest.mark.parametrize("name", ["Many.zip", "net/Many.zip", "Many", "net/Many"])
def test_a_mirror_folder_serves_an_archive_or_what_is_in_it(
    tool: Callable[..., None], tmp_path: Path, name: str
) -> None:
    target = tmp_path / "mirror" / name
    target.parent.mkdir(parents=True)
    if name.endswith(".zip"):
        target.write_bytes(MANY)
    else:
        zipfile.ZipFile(io.BytesIO(MANY)).extractall(target.parent)

    code, _ = fetch("net-many", "--from", "mirror")

    assert code == 0
    root = tmp_path / "weights/net"
    assert {file: (root / file).read_bytes() for file in read_sums(root)} == MANY_FILES


def test_another_weights_folder_is_a_mirror_and_its_list_counts(tool: Callable[..., None], tmp_path: Path) -> None:
    fetch("--all", "--weights", "first")
    (tmp_path / "first/net/Many/plans.json").write_bytes(b"[]")  # as a bad disk does

    code, output = fetch("--all", "--weights", "second", "--from", "first")

    assert code == 3
    assert "must be what the mirror's own list says, but Many/plans.json must have sha256" in output
    assert read_sums(tmp_path / "second/net") == {"one.pt": SHA256}


def test_a_folder_cannot_stand_for_an_archive_whose_sha256_is_published(
    tool: Callable[..., None], tmp_path: Path
) -> None:
    tool(sha256=hashlib.sha256(MANY).hexdigest())
    zipfile.ZipFile(io.BytesIO(MANY)).extractall(tmp_path / "mirror")

    code, output = fetch("net-many", "--from", "mirror")
    assert (code, "must be the archive, whose sha256 is published" in output) == (3, True)

    (tmp_path / "mirror/Many.zip").write_bytes(MANY)
    assert fetch("net-many", "--from", "mirror")[0] == 0


@pytest.mark.parametrize("prefix", ["", "/net"])
def test_an_http_mirror_has_the_same_names(tool: Callable[..., None], tmp_path: Path, prefix: str) -> None:
    with file_server({f"/m{prefix}/one.pt": ONE, f"/m{prefix}/Many.zip": MANY}) as mirror:
        code, output = fetch("--all", "--from", mirror.url("/m/"))

    assert code == 0, output
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE


def test_a_mirror_without_the_file_says_which_names_it_may_have(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()

    code, output = fetch("net-many", "--from", "mirror")

    assert code == 3
    assert f"{tmp_path}/mirror: must hold Many or Many.zip, but holds none; get Many.zip from" in output


def test_a_mirror_that_does_not_exist_is_a_usage_error(tool: Callable[..., None]) -> None:
    with pytest.raises(UsageError, match="--from: nowhere must be a folder"):
        fetch("--all", "--from", "nowhere")


def test_without_network_the_message_says_what_to_do(tool: Callable[..., None], tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        tool(url=f"http://127.0.0.1:{closed.getsockname()[1]}/one.pt")

        with pytest.raises(CaseError) as caught:
            fetch_one(tmp_path / "w")

    assert "one.pt: must be reachable, but: " in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "yourself, put it into a folder, then run `coordinator weights fetch --from FOLDER net-one`" in str(
        caught.value
    )
    assert str(caught.value).endswith(f"it goes to {tmp_path / 'w/net/one.pt'}")


def test_what_only_a_person_can_fetch_names_the_page(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(url=None, page="https://example.org/download")

    code, output = fetch("net")

    assert code == 3
    assert "net/one.pt: only a person can fetch it; get one.pt from https://example.org/download yourself" in output
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/one.pt").write_bytes(ONE)
    assert fetch("net", "--from", "mine")[0] == 0


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, server: Files) -> None:
    entries = [
        {"file": name, "url": server.url(f"/{name}"), "licence": "MIT"} for name in ("none.pt", "one.pt", "two.pt")
    ]
    write_tool(tmp_path / "tools", {"all": entries})

    code, output = fetch("net")

    assert (code, "1 of 3 could not be fetched" in output) == (3, True)
    assert set(read_sums(tmp_path / "weights/net")) == {"one.pt", "two.pt"}


def test_terms_must_be_accepted(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    tool(terms="non-commercial use only")

    code, output = fetch("net")
    assert code == 3
    assert "its terms must be agreed to (non-commercial use only); then add --accept-terms" in output
    assert server.asked == []

    assert fetch("net", "--accept-terms")[0] == 0


def started(*arguments: str, **more: object) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-c", "from coordinator.cli.main import main; main()", "weights", "fetch", *arguments]
    return subprocess.Popen(program, **more)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 3)])
def test_a_person_at_a_terminal_is_asked(tool: Callable[..., None], answer: bytes, code: int) -> None:
    tool(terms="non-commercial use only")
    mine, theirs = pty.openpty()

    process = started("net", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(mine, 4096)
    os.write(mine, answer)
    threading.Thread(target=_drain, args=(mine,), daemon=True).start()

    assert process.wait(30) == code
    assert b"net/one.pt (MIT): non-commercial use only" in seen


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass  # the other side has closed


def test_a_package_brings_its_own(tmp_path: Path) -> None:
    write_tool(tmp_path / "tools", {"lite": [{"file": "a.pth", "package": "nothing_real", "licence": "MIT"}]})

    code, output = fetch("net")

    assert (code, output) == (0, "net/a.pth: comes with the package nothing_real; there is nothing to fetch\n")
    assert not (tmp_path / "weights").exists()


def test_a_tool_without_weights_needs_none(tmp_path: Path) -> None:
    write_tool(tmp_path / "tools", {"plain": []})

    assert fetch("net") == (0, "net: needs no weights\n")


def test_ctrl_c_leaves_a_part_that_the_next_run_goes_on_with(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.hold, server.drop_after = threading.Event(), 200_000
    process = started("net", stderr=subprocess.PIPE)
    part = tmp_path / "weights/net/.one.pt.part"
    # a process that dies must not leave the test waiting
    while process.poll() is None and not (part.exists() and part.stat().st_size >= 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, b"interrupted; the next run goes on from here" in errors) == (143, True)
    have = part.stat().st_size
    assert 0 < have <= 200_000
    server.hold.set()
    server.hold = None

    code, _ = fetch("net")

    assert code == 0
    assert server.asked[-1] == ("/one.pt", f"bytes={have}-")
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE


def test_two_fetches_at_once_download_once(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.hold, server.drop_after = threading.Event(), 1000
    said: list[str] = []
    outcomes: list[str] = []
    (item,) = wanted_items(find_tools(), ["net"])

    def work() -> None:
        downloader = Downloader(new_session())
        mine = Fetcher(tmp_path / "w", downloader, None, lambda i: True, said.append, lambda done, size: None)
        outcomes.append(mine.fetch(item))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(said) < 2 and any(thread.is_alive() for thread in threads):
        time.sleep(0.005)
    server.hold.set()
    for thread in threads:
        thread.join()

    assert f"{tmp_path / 'w/net'}: another process fetches into it; waiting for it" in said
    assert sorted(outcomes) == ["fetched; its sha256 is recorded", "is there"]
    assert len(server.asked) == 1


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.claims_size = 10**18

    with pytest.raises(CaseError, match=r"w/net: must have 1000000000000\.0 MB of room, but has .* MB; make room"):
        fetch_one(tmp_path / "w")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_gets_full_is_said(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "w/net").mkdir(parents=True)
    (tmp_path / "w/net/.one.pt.part").symlink_to("/dev/full")

    with pytest.raises(CaseError, match="w/net: the disk is full; make room, then run the same command"):
        fetch_one(tmp_path / "w")


def test_a_folder_that_cannot_be_written_is_said(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "w").write_text("a file, where the folder should be")

    with pytest.raises(CaseError, match=r"w/net: must be readable and writable, but: "):
        fetch_one(tmp_path / "w")


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped({"Many/a": b"1", "Many/../../evil": b"x"}), "lies outside of it"),
        (zipped({"Many/a": b"1", "/etc/evil": b"x"}), "'/etc/evil' lies outside of it"),
        (zipped({"Many/a": b"1", "Other/b": b"x"}), "'Other/b' lies outside of it"),
        (zipped({"Manyfold/b": b"x"}), "'Manyfold/b' lies outside of it"),
        (zipped({"Many/a": b"1", "Many/..\\evil": b"x"}), "has a backslash"),
        (zipped({"Many/a": b"1"}, links={"Many/link": "/etc/passwd"}), "'Many/link' is a link or a device"),
        (zipped({"Many/": b""}), "it holds no file"),
        (zipped({"Many/zeros": bytes(70_000_000)}), "it would become 70000000 bytes"),
        (MANY[:-200], "must be a whole zip archive, but"),
        (MANY[:500] + b"\0" * 50 + MANY[550:], "must be a whole zip archive, but"),
        (b"hello", "must be a whole zip archive, but"),
    ],
)
def test_an_unsafe_or_broken_archive_leaves_nothing(
    tool: Callable[..., None], tmp_path: Path, server: Files, archive: bytes, message: str
) -> None:
    server.content["/v2/Many.zip"] = archive

    code, output = fetch("net-many")

    assert (code, message in output) == (3, True), output
    assert {path.name for path in (tmp_path / "weights/net").iterdir()} == {".fetch.lock"}
    assert {path.name for path in tmp_path.iterdir()} == {"tools", "weights"}


def test_the_proxy_of_the_environment_is_used(
    tool: Callable[..., None], server: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_server() as (address, came):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("http_proxy", address)

        code, output = fetch("net")

    assert code == 0, output
    assert came == [f"GET {server.url('/one.pt')} HTTP/1.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that no authority has signed, and its key, in one file."""
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with")
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
    with file_server({"/one.pt": ONE}, certificate) as secure, proxy_server() as (address, came):
        tool(url=secure.url("/one.pt"))
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(CaseError, match="certificate verify failed"):
            fetch_one(tmp_path / "w")

        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        fetch_one(tmp_path / "w")

    assert {line.rsplit(" ", 1)[0] for line in came} == {f"CONNECT {secure.address.removeprefix('https://')}"}
    assert (tmp_path / "w/net/one.pt").read_bytes() == ONE


def test_verify_says_what_is_right_wrong_missing_and_unknown(tmp_path: Path, server: Files) -> None:
    url = server.url("/one.pt")
    files = ("ok.pt", "changed.pt", "gone.pt", "new.pt")
    entries: list[dict[str, object]] = [{"file": name, "url": url, "licence": "MIT"} for name in files]
    entries[0]["sha256"] = SHA256
    entries.append({"file": "Many", "url": server.url("/v2/Many.zip"), "archive": "zip", "licence": "MIT"})
    entries.append({"file": "a.pth", "package": "nothing_real", "licence": "MIT"})
    write_tool(tmp_path / "tools", {"all": entries})
    assert fetch("net")[0] == 0
    root = tmp_path / "weights/net"
    (root / "changed.pt").write_bytes(ONE[::-1])
    (root / "gone.pt").unlink()
    (root / "Many/extra").write_bytes(b"")
    lines = [line for line in (root / "SHA256SUMS").read_text().splitlines(keepends=True) if "new.pt" not in line]
    (root / "SHA256SUMS").write_text("".join(lines))

    result = coordinator("verify")

    verdicts = {row.split("\t")[0]: row.split("\t")[1] for row in result.output.splitlines()[1:]}
    assert verdicts == {
        "net/ok.pt": "ok", "net/changed.pt": "differs", "net/gone.pt": "missing", "net/new.pt": "unknown",
        "net/Many": "differs", "net/a.pth": "in package",
    }  # fmt: skip
    assert "Many/extra is not listed; remove it, then `coordinator weights fetch net-all`" in result.output
    assert result.return_value == 3


def test_verify_is_content_with_what_is_right_or_missing(tool: Callable[..., None]) -> None:
    fetch("net")

    assert coordinator("verify").return_value == 0


def test_list_shows_what_each_variant_needs_and_has(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    write_tool(tmp_path / "tools", {"plain": []}, name="bare")
    tool(size_mb=0.64, terms="none of your business")
    fetch("net", "--accept-terms")

    rows = [line.split("\t") for line in coordinator("list").output.splitlines()]

    assert rows == [
        ["tool", "variant", "weights", "size", "sha256", "licence", "there", "from"],
        ["bare", "plain", "needs none", "", "", "", "", ""],
        ["net", "one", "one.pt", "0.64 MB", "recorded", "MIT (terms)", "yes", server.url("/one.pt")],
        ["net", "many", "Many", "0.64 MB", "unknown", "MIT (terms)", "no", server.url("/v2/Many.zip")],
    ]


def test_weights_that_variants_share_are_one_item(tmp_path: Path) -> None:
    entry = {"file": "a.pt", "url": "http://localhost/a.pt", "licence": "MIT"}
    write_tool(tmp_path / "tools", {"big": [entry], "small": [entry]})

    (item,) = all_items(find_tools())

    assert item.variants == ("big", "small")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nett"], "there is no tool 'nett'; did you mean `net`"),
        (["net-two"], "net has no variant 'two'"),
        ([], r"must be given TOOL\[-VARIANT\] or --all"),
        (["net", "--all"], r"must be given TOOL\[-VARIANT\] or --all"),
    ],
)
def test_unknown_names_are_usage_errors(tool: Callable[..., None], names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fetch(*names)


def test_an_address_that_is_none_is_not_tried_again(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(url="ftp://127.0.0.1/one.pt")

    with pytest.raises(CaseError, match="must be an address to fetch from, but"):
        fetch_one(tmp_path / "w")
