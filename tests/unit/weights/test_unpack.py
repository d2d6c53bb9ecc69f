"""Archives are unpacked whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files
from helpers.weights import MANY, MANY_FILES, fetch, list_hidden, make_zip

from contract.weights import check_weights, read_sums
from coordinator.tools.finding import find_tool


def test_an_archive_is_unpacked_and_each_of_its_files_recorded(tool: Callable[..., None], tmp_path: Path) -> None:
    code, _ = fetch("net-many")

    assert code == 0
    root = tmp_path / "weights/net"
    assert {name: (root / name).read_bytes() for name in read_sums(root)} == MANY_FILES
    assert list_hidden(tmp_path / "weights") == set()
    check_weights(find_tool("net").manifest, "many", tmp_path / "weights")


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (make_zip({"Many/a": b"1", "Many/../../evil": b"x"}), "lies outside of it"),
        (make_zip({"Many/a": b"1", "/etc/evil": b"x"}), "'/etc/evil' lies outside of it"),
        (make_zip({"Many/a": b"1", "Other/b": b"x"}), "'Other/b' lies outside of it"),
        (make_zip({"Manyfold/b": b"x"}), "'Manyfold/b' lies outside of it"),
        (make_zip({"Many/a": b"1", "Many/..\\evil": b"x"}), "has a backslash"),
        (make_zip({"Many/a": b"1"}, links={"Many/link": "/etc/passwd"}), "'Many/link' is a link or a device"),
        (make_zip({"Many/": b""}), "it holds no file"),
        (make_zip({"Many/zeros": bytes(70_000_000)}), "it would become 70000000 bytes"),
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
