"""The door for files whose sha256 nobody publishes: a page, a message or a pointer is never taken for weights."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files
from helpers.weights import MANY_FILES, ONE, SHORT, fetch, fetch_one, list_hidden, make_zip, write_tool

from contract.errors import CaseError
from coordinator.weights.formats import check_format

PAGES = {
    "page": b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
    "latin-1 page": "<html><body>Bitte melden Sie sich für den Zugriff auf die Gewichte an</body></html>".encode(
        "latin-1"
    ),
    "utf-16 page": "<html>quota exceeded</html>".encode("utf-16"),
    "long page": b"<html>" + b"<p>virus scan warning</p>" * 1000,
    "packed page": gzip.compress(b"<html>quota exceeded</html>"),
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 411387150\n",
    "message": b'{"error": "Repository not found"}',
    "words": b"Too many requests",
    "storage's message": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "empty": b"",
    "other zip": make_zip({"readme.txt": b"hello"}),
}


@pytest.mark.parametrize("content", PAGES.values(), ids=PAGES.keys())
@pytest.mark.parametrize(
    ("name", "kind"), [
        ("w.pt", "a file of PyTorch"), ("w.pth", "a file of PyTorch"), ("w.model", "a file of PyTorch"),
        ("w.npz", "an archive of numpy arrays"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(content: bytes, name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)

    with pytest.raises(CaseError, match=rf"^net/{name}: must be {kind}, but "):
        check_format(tmp_path / "w", f"net/{name}")


@pytest.mark.parametrize("name", ["w.onnx", "w.bin", "weights"])
@pytest.mark.parametrize("kind", ["page", "latin-1 page", "utf-16 page", "long page", "pointer", "message", "empty"])
def test_no_file_of_weights_is_text(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(PAGES[kind])

    with pytest.raises(CaseError, match=rf"^net/{name}: must be a file of weights, but it is "):
        check_format(tmp_path / "w", f"net/{name}")


@pytest.mark.parametrize("kind", sorted(set(PAGES) - {"message"}))
def test_what_is_no_json_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(PAGES[kind])

    with pytest.raises(CaseError, match=r"plans\.json: must be JSON, but it is"):
        check_format(tmp_path / "w", "plans.json")


def test_a_servers_message_is_no_description_of_a_network(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(PAGES["message"])

    with pytest.raises(
        CaseError, match=r"plans\.json: must be JSON, but it is a server's message: .*Repository not found"
    ):
        check_format(tmp_path / "w", "plans.json")


@pytest.mark.parametrize(
    ("name", "content"), [
        ("a.pt", ONE), ("a.pth", SHORT + b"more"), ("a.model", ONE), ("a.json", b'{"plans_name": "nnUNetPlans"}'),
        ("a.json", b'"nnInteractiveInferenceSession"'), ("a.npz", make_zip({"labels.npy": b"x"})),
        ("a.onnx", b"\x08\x07\x12\x07pytorch"), ("a.bin", bytes(range(256))),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)

    check_format(tmp_path / "w", name)


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_a_page_that_a_server_calls_a_file_leaves_nothing_and_the_message_says_what_to_do(
    tool: Callable[..., None], tmp_path: Path, server: Files, kind: str
) -> None:
    server.content["/one.pt"] = PAGES[kind]

    code, output = fetch("net")

    assert (code, "net/one.pt: must be a file of PyTorch, but it " in output) == (3, True), output
    assert "; try again, or another source" in output
    assert {path.name for path in (tmp_path / "weights/net").iterdir()} == {".fetch.lock"}


def test_pages_in_the_place_of_an_archives_files_are_refused(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    server.content["/v2/Many.zip"] = make_zip({**MANY_FILES, "Many/plans.json": PAGES["page"]})

    code, output = fetch("net-many")

    assert (code, "net/Many/plans.json: must be JSON, but it is none" in output) == (3, True), output
    assert list_hidden(tmp_path / "weights") == set()


def test_without_a_published_sha256_the_first_one_is_trusted_and_that_is_said(
    tool: Callable[..., None], tmp_path: Path
) -> None:
    code, output = fetch("net")

    assert code == 0
    assert (
        "net/one.pt: no sha256 is known; size and format are as expected, so this one is trusted from now on" in output
    )
    assert f"compare its line in {tmp_path}/weights/net/SHA256SUMS" in output


def test_an_address_that_may_change_is_said(tmp_path: Path, server: Files) -> None:
    server.content["/resolve/main/one.pt"] = ONE
    url, why = server.url("/resolve/main/one.pt"), "the commit is not known"
    write_tool(tmp_path / "tools", {"one": [{"file": "one.pt", "url": url, "licence": "MIT", "unpinned": why}]})

    _, output = fetch("net")

    assert "no sha256 is known, and its address may give another file tomorrow (the commit is not known)" in output


def test_a_published_sha256_counts_whatever_the_file_looks_like(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(sha256="2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/one.pt").write_bytes(b"hello")

    assert fetch_one(tmp_path / "w", tmp_path / "mirror") == "fetched; its sha256 is the published one"
