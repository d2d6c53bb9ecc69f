"""An import writes nothing into its source, breaks off anywhere, and goes on; what it can't do it says once."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.distributions import AFFINE, digest_tree, patient, save, write_pairs
from helpers.inprocess import Ended, call_coordinator
from helpers.studies import COORDINATOR

from contract.datasets import open_dataset
from coordinator.datasets.importing.descriptions import describe_known
from coordinator.datasets.importing.files import put

Captured = pytest.CaptureFixture[str]
BTCV = dict(describe_known("btcv").labels or {})


def write_btcv(source: Path, numbers: list[int]) -> None:
    write_pairs(source, BTCV, numbers, "Training/img/img{:04d}.nii.gz", "Training/label/label{:04d}.nii.gz")


def import_into_data(capfd: Captured, source: Path, *options: str) -> Ended:
    return call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)


def test_an_import_that_is_killed_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, capfd: Captured):
    source, cases = tmp_path / "big", 8
    random = np.random.default_rng(3)
    voxels = random.integers(-900, 900, (96, 96, 40), np.int16)
    for number in range(cases):
        save(source / "images" / f"c{number:02d}.nii", voxels + np.int16(number))
        save(source / "labels" / f"c{number:02d}.nii.gz", (voxels > 850).astype(np.uint8))
    before = digest_tree(source)
    command = [str(COORDINATOR), "dataset", "import", str(source), "--into", str(tmp_path / "data")]
    part = tmp_path / "data" / ".big.importing"

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as killed:
        while killed.poll() is None and not (part / "cases.jsonl").is_file():
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
    done = [json.loads(line)["case"] for line in (part / "cases.jsonl").read_text().splitlines() if line.endswith("}")]
    assert not (tmp_path / "data" / "big").exists()
    ended = import_into_data(capfd, source)
    shutil.copytree(tmp_path / "data" / "big", tmp_path / "resumed")
    shutil.rmtree(tmp_path / "data" / "big")
    undisturbed = import_into_data(capfd, source)

    assert 1 <= len(done) < cases
    assert (ended.code, undisturbed.code) == (0, 0)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["big"]
    contents = [{name: d[2] for name, d in digest_tree(folder).items()} for folder in
                (tmp_path / "resumed", tmp_path / "data" / "big")]  # fmt: skip
    assert contents[0] == contents[1]
    assert len(contents[0]) == 2 * cases + 5
    assert digest_tree(source) == before


def test_cases_that_were_done_are_not_done_again(tmp_path: Path, capfd: Captured):
    write_pairs(tmp_path / "s", {1: "liver"}, [1, 2], "images/{}.nii", "labels/{}.nii")
    import_into_data(capfd, tmp_path / "s", "--as", "first")
    first = tmp_path / "data" / "first"
    record = json.loads((first / "import.json").read_text())
    part = tmp_path / "data" / ".second.importing"
    shutil.copytree(first / "images", part / "images")
    shutil.copytree(first / "labels", part / "labels")
    (part / "begun.json").write_text(json.dumps({"fingerprint": record["fingerprint"]}))
    about = record["cases"]["1"]
    line = {"case": "1", "problem": None, "image": {**about["image"], "sha256": "of the line"}, "labels": about["labels"],
            "organs": [1], "overlaps": {}, "overlap_voxels": 0}  # fmt: skip
    (part / "cases.jsonl").write_text(json.dumps(line) + '\n{"case": "2", "pro')

    assert import_into_data(capfd, tmp_path / "s", "--as", "second").code == 0

    cases = json.loads((tmp_path / "data" / "second" / "import.json").read_text())["cases"]
    assert cases["1"]["image"]["sha256"] == "of the line"
    assert cases["2"] == record["cases"]["2"]


def test_an_import_of_other_files_begins_anew_in_the_hidden_folder(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1])
    part = tmp_path / "data" / ".btcv.importing"
    (part / "images").mkdir(parents=True)
    (part / "images" / "of_another.nii.gz").write_bytes(b"")
    (part / "begun.json").write_text('{"fingerprint": "another"}')

    assert import_into_data(capfd, tmp_path / "a").code == 0
    assert open_dataset(tmp_path / "data", "btcv").cases() == ["0001"]


def test_a_name_that_another_dataset_has_is_refused_and_so_is_a_source_that_has_changed(
    tmp_path: Path, capfd: Captured
):
    write_btcv(tmp_path / "a", [1, 2])
    write_btcv(tmp_path / "b", [3])
    (tmp_path / "data" / "taken").mkdir(parents=True)
    (tmp_path / "data" / "taken" / "notes.txt").write_text("mine")
    import_into_data(capfd, tmp_path / "a")
    made = digest_tree(tmp_path / "data")

    by_hand = import_into_data(capfd, tmp_path / "b", "--as", "taken")
    other = import_into_data(capfd, tmp_path / "b")
    os.utime(tmp_path / "a" / "Training" / "label" / "label0002.nii.gz", (1, 1))
    changed = import_into_data(capfd, tmp_path / "a")

    assert [ended.code for ended in (by_hand, other, changed)] == [2, 2, 2]
    assert (
        f"{tmp_path}/data/taken: must not exist yet, but is another dataset or folder; choose another name by --as"
        in (by_hand.err)
    )
    assert f"{tmp_path}/data/btcv: was imported from other files (a, 2 cases), or those have changed since" in other.err
    assert "have changed since" in changed.err
    os.utime(tmp_path / "data" / "btcv" / "labels" / "0002.nii.gz", ns=(made["btcv/labels/0002.nii.gz"][1],) * 2)
    assert digest_tree(tmp_path / "data") == made


def test_a_folder_of_no_known_layout_is_one_message_with_what_was_seen_and_tried(tmp_path: Path, capfd: Captured):
    (tmp_path / "odd" / "scans").mkdir(parents=True)
    for name in ("a.nrrd", "b.nrrd", "._a.nrrd"):
        (tmp_path / "odd" / "scans" / name).write_bytes(b"NRRD0004")

    ended = import_into_data(capfd, tmp_path / "odd")
    wrong = import_into_data(capfd, tmp_path / "odd", "--layout", "segthor")

    assert ended.code == wrong.code == 2
    assert ended.err.startswith(
        "error: odd: must hold images with labels in a known layout, but no case of any was found"
    )
    for line in (
        "  scans: 2 files, such as a.nrrd",
        "  skipped: 1 ._*",
        "  btcv: Training/img/",
        "  msd: dataset.json",
    ):
        assert line in ended.err
    assert "Tried 1:\n  segthor: train/Patient_01/Patient_01.nii.gz" in wrong.err


def test_files_of_two_public_datasets_in_one_folder_are_the_users_choice(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "mixed", [1])
    write_pairs(tmp_path / "mixed", {1: "liver"}, [0], "img/train_{:03d}_0000.nii.gz", "mask/train_{:03d}.nii.gz")

    both = import_into_data(capfd, tmp_path / "mixed")
    chosen = import_into_data(capfd, tmp_path / "mixed", "--layout", "flare21")

    assert "files of several datasets: btcv (1 cases), flare21 (1 cases); choose one with --layout" in both.err
    assert (both.code, chosen.code) == (2, 0)
    assert open_dataset(tmp_path / "data", "flare21").cases() == ["train_000"]


def test_one_case_in_two_places_is_named_with_both(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1])
    save(tmp_path / "a" / "backup" / "img" / "img0001.nii.gz", patient(1).image)

    ended = import_into_data(capfd, tmp_path / "a")

    assert ended.code == 2
    assert (
        "Training/img/img0001.nii.gz and backup/img/img0001.nii.gz: a case must have one image, but both" in ended.err
    )


def test_a_dataset_of_which_no_case_is_sound_is_not_made(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1])
    save(tmp_path / "a" / "Training" / "label" / "label0001.nii.gz", patient(1).labels(BTCV)[:, :, 1:])

    ended = import_into_data(capfd, tmp_path / "a")

    assert ended.code == 3
    assert f"error: {tmp_path}/a: none of its 1 cases can be used:\n  0001: " in ended.err
    assert (
        "label0001.nii.gz: label and image: grids must agree, but the shape is (32, 27, 11) and should be" in ended.err
    )
    assert list((tmp_path / "data").iterdir()) == []


def test_places_that_would_be_written_into_are_refused(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1])
    import_into_data(capfd, tmp_path / "a")

    within = call_coordinator(capfd, "dataset", "import", tmp_path / "a", "--into", tmp_path / "a" / "data")
    in_dataset = call_coordinator(capfd, "dataset", "import", tmp_path / "a", "--into", tmp_path / "data" / "btcv")
    again = call_coordinator(capfd, "dataset", "import", tmp_path / "data" / "btcv", "--into", tmp_path / "other")
    name = import_into_data(capfd, tmp_path / "a", "--as", "BTCV 2")
    missing = import_into_data(capfd, tmp_path / "b")

    ended = (within, in_dataset, again, name, missing)
    assert [one.code for one in ended] == [2] * 5
    for one, message in zip(
        ended,
        (
            "--into: ",
            "nothing is ever written into a dataset folder",
            "is a dataset folder already",
            "--as: ",
            "b: must be a",
        ),
        strict=True,
    ):
        assert message in one.err


def test_two_imports_of_one_dataset_at_once_are_refused(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1])
    part = tmp_path / "data" / ".btcv.importing"
    part.mkdir(parents=True)
    descriptor = os.open(part, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        ended = import_into_data(capfd, tmp_path / "a")
    finally:
        os.close(descriptor)

    assert ended.code == 2
    assert "is being made by another import; wait until that has ended" in ended.err


def test_a_dry_run_prints_a_line_for_each_case_and_writes_nothing(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1, 2])
    save(tmp_path / "a" / "Training" / "img" / "img0003.nii", patient(3).image)
    save(tmp_path / "a" / "Training" / "label" / "label0003.nii.gz", patient(3).labels(BTCV))

    ended = import_into_data(capfd, tmp_path / "a", "--dry-run")

    lines = [line.split() for line in ended.out.splitlines()]
    assert ended.code == 0
    assert lines[1] == ["0001", "Training/img/img0001.nii.gz", "Training/label/label0001.nii.gz", "hard", "link"]
    assert lines[3][3:] == ["image:", "compressed,", "labels:", "hard", "link"]
    assert not (tmp_path / "data").exists()


def test_where_no_hard_link_can_be_a_relative_link_stays_in_the_data_folder_and_else_the_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links on this file system")

    inside, outside = tmp_path / "data" / "raw" / "a.nii.gz", tmp_path / "away" / "b.nii.gz"
    target = tmp_path / "data" / ".new.importing" / "images"
    target.mkdir(parents=True)
    for file in (inside, outside):
        save(file, patient(1).image, AFFINE)
    (inside.parent / "leads_out.nii.gz").symlink_to(outside)
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    ways = {
        name: put(source, target / name, tmp_path / "data")
        for name, source in {"a": inside, "b": outside, "c": inside.parent / "leads_out.nii.gz"}.items()
    }

    assert ways == {"a": "link", "b": "copy", "c": "copy"}
    assert (target / "a").readlink() == Path("../../raw/a.nii.gz")
    assert not (target / "b").is_symlink()
    target.parent.rename(tmp_path / "data" / "new")
    assert (tmp_path / "data" / "new" / "images" / "a").read_bytes() == inside.read_bytes()


def test_a_dataset_that_lost_files_after_its_import_is_not_said_to_be_done(tmp_path: Path, capfd: Captured):
    write_btcv(tmp_path / "a", [1, 2])
    import_into_data(capfd, tmp_path / "a")
    (tmp_path / "data" / "btcv" / "labels" / "0002.nii.gz").unlink()

    ended = import_into_data(capfd, tmp_path / "a")

    assert ended.code == 2
    assert "must not change after it was imported, but files of 0002 are gone; remove the folder" in ended.err
