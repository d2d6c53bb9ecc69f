"""Archives are unpacked whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from helpers.servers import Files
from helpers.weights import MANY, MANY_FILES, ONE, fetch, list_hidden, make_zip

from contract.errors import CaseError
from contract.weights import check_weights, read_sums
from coordinator.tools.finding import find_tool
from coordinator.weights.unpack import unpack


def test_an_archive_is_unpacked_and_each_of_its_files_recorded(tool: Callable[..., None], tmp_path: Path) -> None:
    code, _ = fetch("net-many")

    assert code == 0
    root = tmp_path / "weights/net"
    assert {name: (root / name).read_bytes() for name in read_sums(root)} == MANY_FILES
    assert list_hidden(tmp_path / "weights") == set()
    check_weights(find_tool("net").manifest, "many", tmp_path / "weights")


def test_what_macos_adds_to_an_archive_is_passed_over(tmp_path: Path) -> None:
    added = {"__MACOSX/._Many": b"x", "__MACOSX/Many/._plans.json": b"x", "Many/fold_0/._checkpoint.pth": b"x"}
    (tmp_path / "many.zip").write_bytes(make_zip({**added, "Many/": b"", **MANY_FILES}))

    unpack(tmp_path / "many.zip", "Many", tmp_path / "Many")

    unpacked = (path for path in (tmp_path / "Many").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in unpacked} == MANY_FILES


def test_an_archive_of_such_files_alone_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "many.zip").write_bytes(make_zip({"__MACOSX/._Many": b"x", "Many/._plans.json": b"x"}))

    with pytest.raises(CaseError, match="it holds no file"):
        unpack(tmp_path / "many.zip", "Many", tmp_path / "Many")


def test_an_archive_may_go_into_the_folder_of_a_variant(tool: Callable[..., None], tmp_path: Path) -> None:
    tool(file="second/Many")

    code, output = fetch("net-many")

    assert code == 0, output
    root = tmp_path / "weights/net"
    assert {name: (root / name).read_bytes() for name in read_sums(root)} == {
        f"second/{name}": content for name, content in MANY_FILES.items()
    }


def test_the_archive_of_another_variant_is_not_taken_for_that_of_one(
    tool: Callable[..., None], tmp_path: Path, server: Files
) -> None:
    tool(file="second/Many")
    (tmp_path / "weights/net/first").mkdir(parents=True)
    (tmp_path / "weights/net/first/Many.zip").write_bytes(make_zip({"Many/plans.json": b"{}"}))
    (tmp_path / "weights/net/Many.zip").write_bytes(make_zip({"Many/plans.json": b"{}"}))

    code, output = fetch("net-many")

    assert code == 0, output
    assert (tmp_path / "weights/net/second/Many/fold_0/checkpoint.pth").read_bytes() == ONE


def test_a_list_of_files_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    content = bytearray(make_zip({"Many/a": b"1"}))
    content[-10:-6] = (1_000_000_000).to_bytes(4, "little")
    (tmp_path / "many.zip").write_bytes(content)

    with pytest.raises(CaseError, match="must list at most 10000 files, but its list has 1000000000 B"):
        unpack(tmp_path / "many.zip", "Many", tmp_path / "Many")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_archive_is_unpacked_right_or_refused_in_one_sentence(seed: int, tmp_path: Path) -> None:
    random = Random(seed)  # noqa: S311 - not for secrets
    files = {"Many/plans.json": b"{}" * 50, "Many/fold_0/w": bytes(range(256))}
    content = bytearray(make_zip(files))
    for _ in range(random.randint(1, 4)):
        content[random.randrange(len(content))] = random.randrange(256)
    (tmp_path / "many.zip").write_bytes(content)

    try:
        unpack(tmp_path / "many.zip", "Many", tmp_path / "Many")
    except CaseError as error:
        assert str(error).startswith(f"{tmp_path}/many.zip: ")
    else:
        assert {path.read_bytes() for path in (tmp_path / "Many").rglob("*") if path.is_file()} <= set(files.values())


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
        (make_zip({"Many/a": b"1", "Many/a\nb": b"x"}), "'Many/a\\nb' holds characters that can't be printed"),
        (make_zip({"Many/a": b"1", "Many/\x85b": b"x"}), "holds characters that can't be printed"),
        (make_zip({"Many/a": b"1", "Many/\u2028b": b"x"}), "holds characters that can't be printed"),
        (make_zip({"Many/a": b"1", "Many/\x1b[2Jb": b"x"}), "holds characters that can't be printed"),
        (
            make_zip({"Many/a": b"1", "Many/xb": b"x"}).replace(b"Many/xb", b"Many/\0b"),
            "holds characters that can't be",
        ),
        (make_zip({"Many/a": b"1", "Many/" + "n" * 300: b"x"}), "has more than 200 bytes"),
        (make_zip({"Many/a": b"1", "Many/b": b"x"}).replace(b"Many/b", b"Many/a"), "it names a file twice: 'Many/a'"),
        (make_zip({"Many/Plans.json": b"1", "Many/plans.json": b"x"}), "it names a file twice: 'Many/Plans.json'"),
        (make_zip({"Many/\u00e4": b"1", "Many/a\u0308": b"x"}), "it names a file twice"),
        (make_zip({"Many/a": b"1", "Many/a/b": b"x"}), "'Many/a' is a file and a folder"),
        (make_zip({"Many/A": b"1", "Many/a/b": b"x"}), "'Many/A' is a file and a folder"),
        (make_zip({"C:/a": b"1"}), "'C:/a' lies outside of it"),
        (make_zip({f"Many/{i}": b"" for i in range(10_001)}), "it holds 10001 files (at most 10000)"),
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
