"""What a tool goes on from, and which of its results get no name: links, other images' labels, wrong records."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.added import ID, OTHER_ID

from contract.records import file_sha256
from coordinator.engine.outputs import StepFailedError
from coordinator.engine.toolresults import begin_results, refuse_irregular, refuse_unsound


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "run/.mine.part"


def make_results(folder: Path, **record: object) -> Path:
    """One label map, and a record of it that is sound but for the given values."""
    folder.mkdir(parents=True)
    (folder / "a.nii.gz").write_text("labels")
    outputs = {"outputs": {"a.nii.gz": file_sha256(folder / "a.nii.gz")}}
    (folder / "run.json").write_text(json.dumps(outputs | record))
    return folder


@pytest.mark.parametrize(
    ("image", "recorded", "kept"),
    [(ID, ID, True), (ID, OTHER_ID, False), (ID, None, False), (None, ID, True), (None, None, True)],
)
def test_a_foreign_image_starts_from_an_old_output_only_if_it_wrote_it(
    part: Path, image: str | None, recorded: str | None, kept: bool
):
    output, result = make_results(part.parent / "mine", image_id=recorded), part / "out/toy/mine"

    begin_results(part, result, output, image)

    assert (result / "a.nii.gz").exists() == kept
    assert not output.exists()


@pytest.mark.parametrize(("second", "kept"), [(ID, True), (OTHER_ID, False), (None, False)])
def test_a_run_that_was_cut_short_is_gone_on_with_by_the_same_image_alone(part: Path, second: str | None, kept: bool):
    result, output = part / "out/toy/mine", part.parent / "mine"
    begin_results(part, result, output, ID)
    make_results(result)

    begin_results(part, result, output, second)

    assert result.exists() == kept


def test_a_run_that_was_cut_short_and_left_a_link_begins_again(part: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (part / "out").mkdir(parents=True)
    (part / "out/toy").symlink_to(tmp_path / "elsewhere")

    begin_results(part, part / "out/toy/mine", part.parent / "mine", None)

    assert not (part / "out/toy").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "make",
    [lambda file: file.symlink_to("/etc/hostname"), lambda file: file.symlink_to("nowhere"), os.mkfifo],
    ids=["link", "dangling link", "pipe"],
)
@pytest.mark.parametrize("name", ["toy/mine/run.json", "toy/mine/a.nii.gz", "toy/mine/more/a", "other", "toy/.hidden"])
def test_what_is_neither_file_nor_folder_is_refused(make: Callable[[Path], None], name: str, part: Path):
    (part / "out/toy/mine/more").mkdir(parents=True)
    make(part / "out" / name)

    with pytest.raises(StepFailedError, match=f"^seg wrote {name}: must be a file or a folder"):
        refuse_irregular(part, "seg")

    assert not part.exists()


def test_a_linked_folder_is_refused(part: Path, tmp_path: Path):
    (part / "out").mkdir(parents=True)
    (part / "out/toy").symlink_to(make_results(tmp_path / "labels"))

    with pytest.raises(StepFailedError, match="^seg wrote toy: "):
        refuse_irregular(part, "seg")

    assert (tmp_path / "labels/a.nii.gz").exists()


@pytest.mark.parametrize("image_id", [ID, None])
def test_sound_results_pass(image_id: str | None, part: Path):
    result = make_results(part / "out/toy/mine", image_id=image_id)

    refuse_irregular(part, "seg")
    refuse_unsound(result, "seg", ID)

    assert (result / "a.nii.gz").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"image_id": OTHER_ID}, f"image_id must be {ID}, the image that ran, but it is {OTHER_ID}"),
        ({"outputs": {"a.nii.gz": None}}, "outputs must have the sha256 of a.nii.gz, .*, but have None"),
        ({"outputs": {"a.nii.gz": "0" * 64}}, f"outputs must have the sha256 of a.nii.gz, .*, but have {'0' * 64}"),
        ({"outputs": {"b.nii.gz": None}}, "outputs must name files beside it, but there is no file b.nii.gz"),
        ({"outputs": {"../labels/a.nii.gz": None}}, "there is no file ../labels/a.nii.gz"),
        ({"outputs": {"/etc/hostname": None}}, "there is no file /etc/hostname"),
    ],
)
def test_a_record_of_other_results_is_refused(record: dict[str, object], message: str, part: Path):
    result = make_results(part / "out/toy/mine", **record)
    shutil.copytree(result, part / "out/toy/labels")

    with pytest.raises(StepFailedError, match=f"^seg wrote run.json: .*{message}"):
        refuse_unsound(result, "seg", ID)

    assert not result.exists()
