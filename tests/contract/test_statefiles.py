"""State files: made again or named, whatever is under their names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from contract import atomic, records, statefiles
from contract.errors import UsageError
from contract.records import CaseStatus

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "garbage": (lambda path: path.write_bytes(b"\xff\xfe\x80"), "it is not text"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "zeros": (lambda path: path.write_bytes(bytes(99)), "it is empty"),
    "cut short": (lambda path: path.write_bytes(b'{"a": '), "it is not whole JSON"),
    "a list": (lambda path: path.write_bytes(b"[1]"), "it is a list"),
    "nested too deep": (lambda path: path.write_bytes(b"[" * 99_999), "it is nested too deep"),
    "a folder": (Path.mkdir, "it is a folder"),
    "a pipe": (os.mkfifo, "it is no regular file"),
    "a loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A damaged file, and why it is."""
    make, why = DAMAGES[request.param]
    make(tmp_path / "state.json")
    return tmp_path / "state.json", why


def test_a_damaged_file_that_can_be_made_again_is_said_in_one_sentence(damaged: tuple[Path, str]):
    file, why = damaged
    told: list[str] = []

    assert statefiles.read(file, statefiles.parse_mapping, told.append) is None
    assert len(told) == 1
    assert told[0].startswith(f"{file}: must be as it was written, but {why}")


def test_a_damaged_file_that_nothing_can_be_done_without_is_refused_with_advice(damaged: tuple[Path, str]):
    file, why = damaged

    with pytest.raises(UsageError) as refused:
        statefiles.require(file, statefiles.parse_mapping, "run it again")

    assert str(refused.value).startswith(f"{file}: must be as it was written, but {why}")
    assert str(refused.value).endswith("; run it again")


def test_whatever_is_in_its_place_a_file_can_be_written_again(damaged: tuple[Path, str]):
    file, _ = damaged

    atomic.write_json(file, {"a": 1})

    assert statefiles.require(file, statefiles.parse_mapping, "") == {"a": 1}


def test_a_folder_that_holds_something_is_never_removed(tmp_path: Path):
    (tmp_path / "state.json").mkdir()
    (tmp_path / "state.json" / "kept").write_text("")

    with pytest.raises(OSError, match="Directory not empty"):
        atomic.write_json(tmp_path / "state.json", {})
    with pytest.raises(OSError, match="Directory not empty"):
        statefiles.remove(tmp_path / "state.json")

    assert [path.name for path in tmp_path.rglob("*")] == ["state.json", "kept"]


def test_lines_of_a_status_file_that_are_no_status_count_as_not_written(tmp_path: Path):
    good = CaseStatus("a", "done", "f", "0" * 64)
    records.write_statuses(tmp_path, {"a": good})
    with (tmp_path / records.STATUS).open("ab") as stream:
        for junk in (
            b"\xff\xfe",
            b"[]",
            b"5",
            b'{"case": [], "state": "done", "notes": []}',
            b'{"case": "b"}',
            b"[" * 9999,
        ):
            stream.write(junk + b"\n")
        stream.write(b'{"case": "c", "state": "do')

    assert records.read_statuses(tmp_path) == {"a": good}


@pytest.mark.parametrize("content", [b'{"outputs": [1]}', b'{"cases": 5}', b'{"weights": {}, "options": "x"}', b"\x00"])
def test_a_record_of_other_types_counts_as_none(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / records.RUN).write_bytes(content)

    assert records.read_run(tmp_path) == {}
    assert capsys.readouterr().err.startswith(f"warning: {tmp_path / records.RUN}: must be as it was written, but")
