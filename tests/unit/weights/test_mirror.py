"""Fetching from a mirror: a folder, another weights folder, or a server."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files, file_server
from helpers.weights import MANY, MANY_FILES, ONE, SHA256, fetch

from contract.errors import UsageError
from contract.weights import read_sums


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
