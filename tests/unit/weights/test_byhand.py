"""Weights that a person put there are seen wherever they may lie, and what can be said of them is said."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files
from helpers.weights import MANY, MANY_FILES, ONE, fetch, run_weights

from contract.errors import UsageError
from contract.weights import check_weights, read_sums
from coordinator.tools.finding import find_tool


def place(root: Path, name: str, content: bytes) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    return root / name


def there(name: str) -> str:
    """What `weights list` says in its column `there`."""
    rows = [line.split("\t") for line in run_weights("list").output.splitlines()]
    return next(row[6] for row in rows if row[2] == name)


def verdict(name: str) -> list[str]:
    rows = [line.split("\t") for line in run_weights("verify").output.splitlines()]
    return next(row[1:] for row in rows if row[0] == f"net/{name}")


def test_a_file_in_its_place_is_seen_and_can_only_be_recorded(tool: Callable[..., None], tmp_path: Path) -> None:
    place(tmp_path, "weights/net/one.pt", ONE)

    assert there("one.pt") == "by hand, not recorded"
    state, reason = verdict("one.pt")
    assert state == "unknown"
    assert reason.startswith(
        "put there by hand: size and format may be right, no sha256 to check; `coordinator weights"
    )


def test_a_wrong_file_in_its_place_is_called_wrong(tool: Callable[..., None], tmp_path: Path) -> None:
    place(tmp_path, "weights/net/one.pt", b"<html>sign in</html>")

    state, reason = verdict("one.pt")

    assert state == "differs"
    assert "net/one.pt: must be a file of PyTorch, but it is text, such as a page" in reason
    code, output = fetch("net")
    assert (code, f"remove {tmp_path}/weights/net/one.pt, then fetch it again" in output) == (3, True)


@pytest.mark.parametrize("name", ["net/Many.zip", "Many.zip", "Many/"])
def test_an_archive_that_was_only_put_there_is_seen_and_unpacked(
    tool: Callable[..., None], tmp_path: Path, server: Files, name: str
) -> None:
    if name.endswith("/"):
        for file, content in MANY_FILES.items():
            place(tmp_path / "weights", file, content)
    else:
        place(tmp_path / "weights", name, MANY)
    at = tmp_path / "weights" / name
    assert there("Many") == f"no, at weights/{name.rstrip('/')}"
    with pytest.raises(UsageError, match=rf"Many: weights must be there, but are at {at}; `coordinator weights fetch"):
        check_weights(find_tool("net").manifest, "many", tmp_path / "weights")

    code, output = fetch("net-many")

    assert (code, server.asked) == (0, []), output
    root = tmp_path / "weights/net"
    assert {file: (root / file).read_bytes() for file in read_sums(root)} == MANY_FILES


def test_a_file_one_folder_too_high_is_taken(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    file = place(tmp_path, "weights/one.pt", ONE)

    assert verdict("one.pt") == [
        "missing",
        "at weights/one.pt; `coordinator weights fetch net-one` puts them into place",
    ]
    assert fetch("net")[0] == 0

    assert (tmp_path / "weights/net/one.pt").read_bytes() == ONE
    assert (file.read_bytes(), server.asked) == (ONE, [])


def test_a_folder_or_a_link_to_nowhere_in_place_of_a_file_is_said(tool: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "weights/net/one.pt").mkdir(parents=True)
    assert there("one.pt") == "no, no file"
    (tmp_path / "weights/net/one.pt").rmdir()
    (tmp_path / "weights/net/one.pt").symlink_to("/nowhere")

    assert there("one.pt") == "no, a link to what does not exist"


def test_a_name_that_fits_into_no_line_of_the_list_is_refused(tool: Callable[..., None], tmp_path: Path) -> None:
    for file, content in {**MANY_FILES, "Many/a\nb": b"x"}.items():
        place(tmp_path / "weights/net", file, content)

    code, output = fetch("net-many")

    assert code == 3
    assert "names of weights must be printable, but one is 'net/Many/a\\nb'; remove " in output
    assert read_sums(tmp_path / "weights/net") == {}
