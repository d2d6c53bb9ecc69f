"""Whatever a YAML file holds: one message that begins with its path, and names the place, in bounded time."""

import os
import time
from pathlib import Path

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from contract.yamlnodes import MOST_BYTES

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGE_BOMB = "a: &a {k0: x, k1: x, k2: x, k3: x, k4: x, k5: x, k6: x, k7: x, k8: x}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


def message(tmp_path: Path, content: str | bytes) -> str:
    """What is said about a dataset.yaml."""
    file = tmp_path / "dataset.yaml"
    file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    begun = time.process_time()
    with pytest.raises(UsageError) as caught:
        yamlfiles.load(file, DatasetDescription)
    assert time.process_time() - begun < 5

    text = str(caught.value)
    assert text.startswith(f"{file}: ")
    assert len(text) < 20_000
    return text.removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: toy\nlicence: !!int abc", "line 2, column 10: value must be a whole number, but is 'abc'; quote it if it is text"),
        ("name: !!bool x", "line 1, column 7: value must be true or false, but is 'x'"),
        ("name: !!float x", "line 1, column 7: value must be a number, but is 'x'"),
        ("name: !!timestamp x", "name: must be a valid string, but YAML reads x as a date; quote it: 'x' (line 1)"),
        ("name: 2024-02-30", "but YAML reads 2024-02-30 as a date; quote it: '2024-02-30'"),
        ("name: 2024-02-03", "but YAML reads 2024-02-03 as a date; quote it: '2024-02-03'"),
        ("name: 12:30:00", "but YAML reads 12:30:00 as a number in base 60; quote it: '12:30:00'"),
        ("name: " + "9" * 5000, "line 1, column 7: value must be a whole number of at most 30 digits, but is '99"),
        ("name: !!python/object:os.system x", "the tag !!python/object:os.system; leave it out, or quote the text"),
        ("name: !!binary aa", "the tag !!binary; leave it out"),
        ("exclude: !!set {a, b}", "the tag !!set; leave it out"),
        ("name: !mine x", "the tag !mine; leave it out"),
        ('name: toy\nsource: "a\\0b"', "line 2, column 9: text must not hold control characters, but U+0000 came; remove it"),
        ('name: "\\ud800"', "text must not hold control characters, but U+D800 came"),
        ("[" * 3000, "line 1, column 25: values are nested more than 24 deep"),
        ("{a: " * 3000, "values are nested more than 24 deep"),
        ("- " * 3000 + "x", "values are nested more than 24 deep"),
        (BOMB, "it holds more than 20,000 values, what aliases (*) stand for included"),
        (MERGE_BOMB, "it holds more than 20,000 values, what aliases (*) stand for included"),
        ("name: &a [*a]", "line 1, column 11: the anchor 'a' stands for something that holds itself"),
        ("&a {<<: *a}", "the anchor 'a' stands for something that holds itself"),
        ("name: *a", "found undefined alias 'a'; quote a text that begins with *"),
        ("name: a\nname: b\nlabels: {1: x, 1: y}", "line 2, column 1: keys must be unique, but name came twice; keep one of them\n  line 3, column 16: keys must be unique, but 1 came twice"),
        ("? [a]\n: b", "keys must be names or numbers, but this one is a list or mapping"),
        ("<<: 5", "`<<` must merge keys and values, such as *anchor, or a list of such"),
        (b"\xff\xfen\x00", "file must be UTF-8 text, but is UTF-16; save it as UTF-8"),
        ("name: toy\nsource: ü".encode("latin1"), "file must be UTF-8 text, but line 2 holds the byte 0xfc; save it as UTF-8"),
        (b"name: \x00", "it holds the character U+0000: special characters are not allowed; save the file as plain UTF-8 text"),
        (b"\x1f\x8b\x08\x00", "file must be UTF-8 text, but line 1 holds the byte 0x8b"),
        ("name: toy\nlabels:\n\t1: liver", "line 3, column 1: while scanning for the next token, found character '\\t' that cannot start any token; indent with blanks"),
        ("name: a: b", "line 1, column 8: mapping values are not allowed here; quote a text that holds `: `"),
        ('name: "C:\\data"', "found unknown escape character 'd'; put a text with backslashes between single quotes"),
        ("name: @x", "that cannot start any token; quote a text that begins with it"),
        ("name: [", "line 1, column 8: "),
        ("name: toy\n---\nname: toy", "line 2, column 1: expected a single document in the stream, but found another document"),
        ("", "file must hold keys and values, but it is empty"),
        ("# only a comment", "file must hold keys and values, but it is empty"),
        ("'" + "x" * MOST_BYTES, "file must have at most 400,000 bytes, but has 400,001"),
        ("labels: {" + ", ".join(f"x{i}: y" for i in range(9_000)) + "}", "9001 problems"),
        ("name: " + "x!" * 100_000, "name: String should"),
        ("? " + "x" * 1000 + "\n: b", "unknown key"),
        ("name: " + "- " * 190_000, ""),
        ("x: [" + "," * 190_000, ""),
        ("a: " + "\n" * 190_000 + "b", ""),
        ("%" * 190_000, ""),
        ("|" + "\n x" * 130_000, ""),
        ("'" + "''" * 190_000, ""),
    ],
)  # fmt: skip
def test_a_hostile_text_is_one_message_with_its_place_in_bounded_time(content: str | bytes, said: str, tmp_path: Path):
    assert said in message(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exclude: {0014: metal}", "exclude.0014: must be a valid string, but YAML reads 0014 as the octal number 12; quote it: '0014' (line 2)"),
        ("exclude: {17: metal}", "exclude.17: must be a valid string, but YAML reads 17 as a number; quote it: '17'"),
        ("exclude: {no: metal}", "exclude.no: must be a valid string, but YAML reads no as false; quote it: 'no'"),
        ("exclude: {1e3: metal}", "exclude.1e3: must be a valid string, but YAML reads 1e3 as a number; quote it: '1e3'"),
        ("exclude: {~: metal}", "exclude.~: must be a valid string, but it is empty; quote it: '~'"),
        ("exclude: {Patient_2: }", "exclude.Patient_2: must be a valid string, but it is empty (line 2)"),
        ("exclude: {Patient_2: yes}", "exclude.Patient_2: must be a valid string, but YAML reads yes as true; quote it: 'yes'"),
        ("labels: {010: liver}", "labels.010: must be a valid integer, but YAML reads 010 as the octal number 8; write a number without zeros before it"),
        ("labels: {'1': liver}", "labels.1: must be a valid integer, but it is '1' (str); leave out the quotes"),
        ("labels: {1: ' '}", "labels.1: must be a text on one line"),
        ("labels: {1: \"a\\nb\"}", "labels.1: must be a text on one line"),
        ("labels: {70000: liver}", "ids must lie in 1..65535, but [70000] came"),
    ],
)  # fmt: skip
def test_a_value_that_yaml_reads_as_something_else_is_explained_with_the_cure(text: str, said: str, tmp_path: Path):
    assert said in message(tmp_path, f"name: toy\n{text}\n")


def test_a_message_lists_twenty_problems_and_the_number_of_the_others(tmp_path: Path):
    text = message(tmp_path, "name: toy\n" + "".join(f"key{i}: x\n" for i in range(500)))

    assert text.startswith("500 problems\n")
    assert text.endswith("… and 480 more")
    assert len(text.splitlines()) == 22


@pytest.mark.parametrize(
    "text",
    [
        "name: toy\nlabels: {<<: {1: liver}, 2: spleen}",
        "name: toy\nlabels: {<<: [{2: spleen, 1: x}, {1: y}], 1: liver}",
        "\ufeffname: toy\r\nlabels: {1: liver, 2: spleen}\r\n",
        "name: toy\nlabels: &l {1: liver, 2: &s spleen}\nexclude: {a: *s}",
        "name: !!str toy\nlabels: !!map {!!int 1: liver, 2: spleen}",
    ],
)
def test_merge_keys_anchors_byte_order_marks_and_plain_tags_are_read(text: str, tmp_path: Path):
    file = tmp_path / "dataset.yaml"
    file.write_text(text, encoding="utf-8", newline="")

    assert yamlfiles.load(file, DatasetDescription).labels == {1: "liver", 2: "spleen"}


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 1e-3), ("1E5", 1e5), ("-2.5e3", -2.5e3), (".5e1", 5.0), ("1_000", 1000), ("0x1F", 31)]
)
def test_a_number_is_read_as_it_is_meant(text: str, number: float, tmp_path: Path):
    (tmp_path / "x.yaml").write_text(f"x: {text}")

    assert yamlfiles.read(tmp_path / "x.yaml") == {"x": number}


def test_only_an_ordinary_file_is_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    for name, said in {
        "pipe": "must be a file, but is a named pipe",
        ".": "must be a file, but is a folder",
        "/dev/zero": "must be a file, but is a device",
        "dangling": "file must be readable, but: No such file or directory",
        "x" * 300: "file must be readable, but: File name too long",
        "a\0b": "file must be readable, but: embedded null byte",
    }.items():
        with pytest.raises(UsageError, match=said):
            yamlfiles.read(tmp_path / name)


def test_what_is_printed_of_a_value_is_bounded_whatever_holds_itself():
    bomb: list[object] = ["x"]
    for _ in range(60):
        bomb = [bomb] * 9
    bomb.append(bomb)

    with pytest.raises(UsageError) as caught:
        yamlfiles.parse("here", {"name": bomb, "labels": bomb, "exclude": {"a": bomb}}, DatasetDescription)

    assert len(str(caught.value)) < 1000
