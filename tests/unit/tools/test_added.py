"""What is kept of foreign images, and by which names it is found again."""

import re
from pathlib import Path

import pytest
from helpers.added import DIGEST, ID, OTHER_ID, make_added, make_manifest

from contract.errors import UsageError
from coordinator.tools.added import find_added, keep_added, list_added, parse_added, remove_added, split_name


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("seg", ("seg", "")),
        ("seg:1", ("seg", "")),
        ("lab/seg:1", ("lab/seg", "")),
        (f"lab/seg@{ID}", ("lab/seg", ID)),
        (f"lab/seg:1@{ID}", ("lab/seg", ID)),
        ("registry.example:5000/lab/seg", ("registry.example:5000/lab/seg", "")),
        (f"registry.example:5000/lab/seg:1@{ID}", ("registry.example:5000/lab/seg", ID)),
        ("docker.io/lab/seg:1", ("lab/seg", "")),
        ("docker.io/library/seg", ("seg", "")),
        (ID, ("", ID)),
    ],
)
def test_a_name_has_a_repository_and_a_digest(image: str, expected: tuple[str, str]):
    assert split_name(image) == expected


@pytest.mark.parametrize(
    "image", ["lab/seg:1", "docker.io/lab/seg:1", f"lab/seg@{ID}", f"lab/seg:1@{ID}", ID, f"lab/seg@{DIGEST}"]
)
def test_an_image_is_found_by_each_of_its_names(image: str, tmp_path: Path):
    keep_added(tmp_path, make_added(digests=(f"lab/seg@{DIGEST}",)))

    found = find_added(tmp_path, image)

    assert (found.image, found.id) == (image, ID)


@pytest.mark.parametrize(
    "image", ["lab/seg:2", "lab/seg", "seg:1", f"lab/seg@{OTHER_ID}", f"other/seg@{DIGEST}", OTHER_ID, "", "1"]
)
def test_an_image_of_another_name_was_never_added(image: str, tmp_path: Path):
    keep_added(tmp_path, make_added(digests=(f"lab/seg@{DIGEST}",)))

    with pytest.raises(UsageError, match=r"was never added to .*`coordinator tool add"):
        find_added(tmp_path, image)


def test_without_a_tag_an_image_is_the_latest(tmp_path: Path):
    keep_added(tmp_path, make_added("lab/seg"))

    assert find_added(tmp_path, "lab/seg:latest").id == ID


def test_where_nothing_was_added_an_image_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        find_added(tmp_path / "tools", "lab/seg:1")

    assert str(caught.value) == (
        f"image lab/seg:1 was never added to {tmp_path}/tools, so nothing is known of it; "
        "`coordinator tool add lab/seg:1` checks it and adds it"
    )


def test_a_slip_of_the_pen_is_met_with_the_nearest_name(tmp_path: Path):
    keep_added(tmp_path, make_added())

    with pytest.raises(UsageError, match="did you mean `lab/seg:1`"):
        find_added(tmp_path, "lab/sec:1")


def test_what_is_kept_is_read_again_as_it_was(tmp_path: Path):
    added = make_added(digests=(f"lab/seg@{DIGEST}",), skip_check=True)

    file = keep_added(tmp_path / "tools", added)

    assert parse_added(file.read_bytes()) == added
    assert list_added(tmp_path / "tools") == [added]
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["lab%2Fseg%3A1.tool.json"]


def test_the_check_of_another_variant_of_the_same_image_stays(tmp_path: Path):
    first = make_added()
    keep_added(tmp_path, first)
    keep_added(tmp_path, make_added(checks={"v2": first.checks["v1"][:2]}))

    (kept,) = list_added(tmp_path)
    assert {variant: len(rules) for variant, rules in kept.checks.items()} == {"v1": 4, "v2": 2}


def test_checks_of_an_image_that_changed_do_not_stay(tmp_path: Path):
    keep_added(tmp_path, make_added())
    keep_added(tmp_path, make_added(id=OTHER_ID, checks={}, skip_check=True))

    (kept,) = list_added(tmp_path)
    assert (kept.id, kept.checks, kept.may_run("v1")) == (OTHER_ID, {}, True)


def test_a_check_counts_by_whichever_name_the_image_was_added(tmp_path: Path):
    keep_added(tmp_path, make_added("lab/seg:1", checks={}, skip_check=True, added="2026-04-01T10:00:00+00:00"))
    keep_added(tmp_path, make_added(ID))

    assert "v1" in find_added(tmp_path, f"lab/seg@{ID}", "v1").checks


@pytest.mark.parametrize(
    "spelling", ["lab/seg", "lab/seg:latest", "docker.io/lab/seg", "index.docker.io/lab/seg:latest"]
)
def test_all_spellings_of_a_name_are_one_record(spelling: str, tmp_path: Path):
    keep_added(tmp_path, make_added("lab/seg"))

    keep_added(tmp_path, make_added(spelling, id=OTHER_ID, checks={}, skip_check=True))

    (kept,) = list_added(tmp_path)
    assert (kept.image, kept.id) == (spelling, OTHER_ID)
    assert find_added(tmp_path, "lab/seg:latest", "v1").id == OTHER_ID
    remove_added(tmp_path, "docker.io/lab/seg:latest")
    assert list_added(tmp_path) == []


def test_records_of_other_spellings_by_an_earlier_release_are_replaced(tmp_path: Path):
    keep_added(tmp_path, make_added("lab/seg:latest")).rename(tmp_path / "docker.io%2Flab%2Fseg.tool.json")
    checks = {"v2": make_added().checks["v1"]}

    file = keep_added(tmp_path, make_added("lab/seg", checks=checks))

    assert list(tmp_path.iterdir()) == [file]
    assert list_added(tmp_path)[0].checks.keys() == {"v1", "v2"}


def test_by_a_tag_the_image_is_found_that_was_added_last_whatever_was_checked(tmp_path: Path):
    newer = make_added("lab/seg", id=OTHER_ID, checks={}, skip_check=True, added="2026-04-01T10:00:00+00:00")
    keep_added(tmp_path, make_added("lab/seg")).rename(tmp_path / "lab%2Fseg.tool.json")
    (tmp_path / "docker.io%2Flab%2Fseg.tool.json").write_text(newer.model_dump_json())

    assert {find_added(tmp_path, "lab/seg", variant).id for variant in (None, "v1", "v2")} == {OTHER_ID}


@pytest.mark.parametrize(
    "image", ["registry.example/" + "a/" * 85 + "seg:1", f"registry.example/{'a/' * 50}seg@{ID}", "%" * 200]
)
def test_a_name_may_be_as_long_as_docker_has_it(image: str, tmp_path: Path):
    keep_added(tmp_path, make_added(image))

    assert find_added(tmp_path, image).id == ID
    remove_added(tmp_path, image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (make_added(), f"lab/seg@{ID}"),
        (make_added(digests=(f"mirror/seg@{DIGEST}", f"lab/seg@{DIGEST}")), f"lab/seg@{DIGEST}"),
        (make_added(digests=(f"mirror/seg@{DIGEST}",)), f"lab/seg@{ID}"),
        (make_added(ID), ID),
        (make_added("docker.io/lab/seg", digests=(f"lab/seg@{DIGEST}",)), f"lab/seg@{DIGEST}"),
    ],
)
def test_a_name_by_digest_is_the_registrys_where_there_is_one(added: object, expected: str):
    assert added.pinned == expected
    assert added.is_called(expected)


def test_the_check_is_told_in_words():
    assert make_added().describe_check("v1") == "keeps the tool contract: 3 rules hold, 1 say nothing about it"
    assert make_added().describe_check("v2") == "was not checked against the tool contract"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: text[:200], "EOF while parsing"),
        (lambda text: "{}", "image: Field required"),
        (lambda text: text.replace(ID, "latest"), "id: String should match pattern"),
        (lambda text: text.replace('"contract": 1', '"contract": 7'), "manifest.contract: Input should be 1"),
        (lambda text: text.replace('"holds": true', '"holds": false', 1), "checks: Value error, all rules that say"),
        (lambda text: text.replace('"holds": true', '"holds": null'), "checks: Value error, all rules that say"),
        (
            lambda text: re.sub(r'"v1": \[\s*{\s*"rule".*?\]', '"v1": []', text, flags=re.DOTALL),
            "of variant v1 must hold",
        ),
        (lambda text: text.replace('"skip_check"', '"skip_cheque"'), "skip_cheque: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_one_clear_message(damage: object, reason: str, tmp_path: Path):
    file = keep_added(tmp_path, make_added())
    file.write_text(damage(file.read_text()))

    with pytest.raises(UsageError) as caught:
        find_added(tmp_path, "lab/seg:1")

    message = str(caught.value)
    assert message.startswith(f"{file}: must be as it was written, but ")
    assert reason in message
    assert message.endswith("remove it, and add its image again with `coordinator tool add`")
    assert "\n" not in message


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path):
    (tmp_path / "package.json").write_text("{}")

    assert list_added(tmp_path) == []


def test_adding_again_mends_a_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    keep_added(tmp_path, make_added()).write_bytes(b"\0" * 100)

    keep_added(tmp_path, make_added())

    assert [added.image for added in list_added(tmp_path)] == ["lab/seg:1"]
    assert "must be as it was written" in capsys.readouterr().err


def test_a_removed_image_is_unknown_again(tmp_path: Path):
    keep_added(tmp_path, make_added())

    remove_added(tmp_path, "lab/seg:1")

    assert list_added(tmp_path) == []
    with pytest.raises(UsageError, match="lab/seg:1 was never added"):
        remove_added(tmp_path, "lab/seg:1")


def test_two_versions_of_one_tool_are_kept_side_by_side(tmp_path: Path):
    keep_added(tmp_path, make_added("lab/seg:1"))
    keep_added(tmp_path, make_added("lab/seg:2", id=OTHER_ID, manifest=make_manifest(version="3.0.0")))

    assert {added.image: added.manifest.version for added in list_added(tmp_path)} == {
        "lab/seg:1": "2.0.0",
        "lab/seg:2": "3.0.0",
    }
