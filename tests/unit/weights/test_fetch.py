"""`coordinator weights fetch`: weights come whole, checked and once; messages say what to do."""

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files
from helpers.weights import MANY_FILES, ONE, OTHER, SHA256, fetch, fetch_one, list_hidden, make_zip, write_tool

from contract.errors import CaseError, UsageError
from contract.weights import check_weights, read_sums
from coordinator.tools.finding import find_tool, find_tools
from coordinator.weights.download import Downloader, new_session
from coordinator.weights.fetch import Fetcher
from coordinator.weights.listing import select_weights


def test_a_file_comes_and_its_sha256_is_recorded_and_enforced(tool: Callable[..., None], tmp_path: Path) -> None:
    code, output = fetch("net")

    assert (code, "net/one.pt: fetched; its sha256 is recorded" in output) == (0, True)
    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE
    assert read_sums(tmp_path / "weights/net") == {"one.pt": SHA256}
    assert list_hidden(tmp_path / "weights") == set()
    check_weights(find_tool("net").manifest, "one", tmp_path / "weights")


def test_what_is_there_is_not_fetched_again(tool: Callable[..., None], server: Files) -> None:
    fetch("--all")
    asked = list(server.asked)

    code, output = fetch("--all")

    assert (code, output.count("is there")) == (0, 2)
    assert server.asked == asked


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

    assert list_hidden(tmp_path / "w") == set()


def test_a_published_sha256_is_enforced_and_what_is_wrong_is_thrown_away(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    tool(sha256=SHA256)
    server.content["/one.pt"] = ONE[:-1] + b"!"

    with pytest.raises(CaseError, match=rf"must be what is published, but one.pt must have sha256 {SHA256}, but has "):
        fetch_one(tmp_path / "w")
    assert list_hidden(tmp_path / "w") == set()

    server.content["/one.pt"] = ONE
    assert fetch_one(tmp_path / "w") == "fetched; its sha256 is the published one"


def test_a_recorded_sha256_is_enforced_when_it_is_fetched_again(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    fetch("--all")
    (tmp_path / "weights/net/one.pt").unlink()
    shutil.rmtree(tmp_path / "weights/net/Many")
    server.content["/one.pt"] = OTHER
    server.content["/v2/Many.zip"] = make_zip({**MANY_FILES, "Many/plans.json": b"[]"})

    code, output = fetch("--all")

    assert code == 3
    assert "one.pt must have sha256" in output
    assert "Many/plans.json must have sha256" in output
    assert "recorded at the first fetch" in output
    assert {p.name for p in (tmp_path / "weights/net").iterdir()} == {"SHA256SUMS", ".fetch.lock"}


def test_a_new_published_sha256_replaces_the_old_file(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    fetch_one(tmp_path / "w")
    server.content["/one.pt"] = OTHER
    tool(sha256=hashlib.sha256(OTHER).hexdigest())

    fetch_one(tmp_path / "w")

    assert (tmp_path / "w/net/one.pt").read_bytes() == OTHER


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


def test_a_package_brings_its_own(tmp_path: Path) -> None:
    write_tool(tmp_path / "tools", {"lite": [{"file": "a.pth", "package": "nothing_real", "licence": "MIT"}]})

    code, output = fetch("net")

    assert (code, output) == (0, "net/a.pth: comes with the package nothing_real; there is nothing to fetch\n")
    assert not (tmp_path / "weights").exists()


def test_a_tool_without_weights_needs_none(tmp_path: Path) -> None:
    write_tool(tmp_path / "tools", {"plain": []})

    assert fetch("net") == (0, "net: needs no weights\n")


def test_two_fetches_at_once_download_once(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    server.hold, server.drop_after = threading.Event(), 1000
    lines: list[str] = []
    outcomes: list[str] = []
    (item,) = select_weights(find_tools(), ["net"])

    def work() -> None:
        downloader = Downloader(new_session())
        fetcher = Fetcher(tmp_path / "w", downloader, None, lambda item: True, lines.append, lambda done, size: None)
        outcomes.append(fetcher.fetch(item))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(lines) < 2 and any(thread.is_alive() for thread in threads):
        time.sleep(0.005)
    server.hold.set()
    for thread in threads:
        thread.join()

    assert f"{tmp_path / 'w/net'}: another process fetches into it; waiting for it" in lines
    assert sorted(outcomes) == ["fetched; its sha256 is recorded", "is there"]
    assert len(server.asked) == 1


def test_a_full_disk_is_reported_before_anything_is_fetched(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.claims_size = 10**18

    with pytest.raises(CaseError, match=r"w/net: must have 1000000000000\.0 MB of room, but has .* MB; make room"):
        fetch_one(tmp_path / "w")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_fills_up_is_reported(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "w/net").mkdir(parents=True)
    (tmp_path / "w/net/.one.pt.part").symlink_to("/dev/full")

    with pytest.raises(CaseError, match="w/net: the disk is full; make room, then run the same command"):
        fetch_one(tmp_path / "w")


def test_a_folder_that_cannot_be_written_is_reported(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "w").write_text("a file, where the folder should be")

    with pytest.raises(CaseError, match=r"w/net: must be readable and writable, but: "):
        fetch_one(tmp_path / "w")


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
