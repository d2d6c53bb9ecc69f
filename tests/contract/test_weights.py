"""Trained weights are the right ones, or the tool says what to do."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.errors import UsageError
from contract.manifest import Manifest
from contract.records import digest, file_sha256
from contract.weights import check_weights, expected_sha256, read_sums, record_sums

MANIFEST = {
    "contract": 1, "name": "net", "version": "0.1.0", "kind": "generator", "summary": "x", "licence": "MIT",
    "default_variant": "one",
    "variants": {
        "one": {"summary": "a file", "labels": {1: "liver"}, "weights": [{"file": "one.pt", "licence": "MIT"}]},
        "many": {
            "summary": "an archive", "labels": {1: "liver"},
            "weights": [{"file": "Many", "archive": "zip", "licence": "MIT", "url": "https://example.org/many.zip"}],
        },
    },
}  # fmt: skip


@pytest.fixture
def net() -> Manifest:
    return yamlfiles.parse("manifest.yaml", MANIFEST, Manifest)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_whose_sha256_nobody_published_must_keep_the_one_that_was_recorded(
    net: Manifest, tmp_path: Path
) -> None:
    file = write(tmp_path / "net" / "one.pt", b"first")
    with pytest.raises(UsageError, match=r"must have a sha256 recorded in .*SHA256SUMS, but have none"):
        check_weights(net, "one", tmp_path)

    record_sums(tmp_path / "net", {"one.pt": file_sha256(file)})
    checked = check_weights(net, "one", tmp_path)["one.pt"]
    assert (checked.path, checked.sha256) == (file, file_sha256(file))

    file.write_bytes(b"other")
    with pytest.raises(UsageError, match=r"one\.pt: weights must have sha256 .*; remove them and `coordinator weights"):
        check_weights(net, "one", tmp_path)


@pytest.mark.parametrize("harm", ["changed", "removed", "added"])
def test_every_file_of_an_unpacked_archive_counts(net: Manifest, tmp_path: Path, harm: str) -> None:
    files = {"Many/plans.json": b"{}", "Many/fold_0/w.pth": b"weights"}
    sums = {name: file_sha256(write(tmp_path / "net" / name, content)) for name, content in files.items()}
    record_sums(tmp_path / "net", sums)
    assert check_weights(net, "many", tmp_path)["Many"].sha256 == digest(sums)

    match harm:
        case "changed":
            write(tmp_path / "net/Many/plans.json", b"[]")
        case "removed":
            (tmp_path / "net/Many/plans.json").unlink()
        case "added":
            write(tmp_path / "net/Many/extra", b"")

    with pytest.raises(
        UsageError, match=r"Many: weights must be the files that .*SHA256SUMS lists, but Many/\S+ differs"
    ):
        check_weights(net, "many", tmp_path)


def test_what_a_plan_knows_of_weights_is_what_a_tool_finds(net: Manifest, tmp_path: Path) -> None:
    sums = {"one.pt": file_sha256(write(tmp_path / "net/one.pt", b"1"))}
    sums["Many/a"] = file_sha256(write(tmp_path / "net/Many/a", b"2"))
    (one,), (many,) = net.variant("one").weights, net.variant("many").weights
    assert (expected_sha256(one, "net", tmp_path), expected_sha256(many, "net", tmp_path)) == (None, None)

    record_sums(tmp_path / "net", sums)

    assert expected_sha256(one, "net", tmp_path) == check_weights(net, "one", tmp_path)["one.pt"].sha256
    assert expected_sha256(many, "net", tmp_path) == check_weights(net, "many", tmp_path)["Many"].sha256


def test_a_recorded_sum_is_kept_when_others_are_added(tmp_path: Path) -> None:
    record_sums(tmp_path, {"a": "0" * 64})
    record_sums(tmp_path, {"b": "1" * 64})

    assert read_sums(tmp_path) == {"a": "0" * 64, "b": "1" * 64}


def test_a_line_that_is_no_sum_is_an_error_with_its_number(tmp_path: Path) -> None:
    write(tmp_path / "SHA256SUMS", b"hello\n")

    with pytest.raises(UsageError, match="line 1 must be `<sha256>  <file>`, but is 'hello'"):
        read_sums(tmp_path)
