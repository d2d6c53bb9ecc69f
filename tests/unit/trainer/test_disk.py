"""What goes wrong on disks: full ones, cut files. A clear error, nothing lost, and the next run goes on."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.training import SHORT, results, stores

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make small disks")


@pytest.fixture
def small_disk(bench) -> Iterator[Callable[[str, str], Path]]:
    """Makes the folder of a step's results a disk of its own."""
    disks = []

    def make(name: str, size: str) -> Path:
        folder: Path = bench.out(name)
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        disks.append(folder)
        return folder

    yield make
    for folder in disks:
        subprocess.run(["umount", folder], check=True)


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)


def test_a_checkpoint_that_finds_no_space_is_an_error_and_the_next_run_goes_on(bench, small_disk, undisturbed):
    folder = small_disk("narrow", "900k")
    log = bench.run("train", "narrow", *SHORT, code=2, **stores(bench))

    enlarge(folder)
    bench.run("train", "narrow", *SHORT, **stores(bench))

    assert "No space left on device; free some space and run this again: it goes on" in log
    assert str(folder) in log
    assert results(bench, "narrow") == undisturbed


def test_a_store_that_finds_no_space_is_an_error_and_the_next_run_goes_on(bench, small_disk):
    split = bench.folder / "split"
    options = ("--patch", "16,16,8", "--filters", "6,12,24")
    folder = small_disk("crowded", "64k")
    log = bench.run("prepare", "crowded", *options, code=2, split=split)
    whole = sorted(path.name for path in (folder / "images").glob("*.npy"))

    enlarge(folder)
    again = bench.run("prepare", "crowded", *options, split=split)

    assert "No space left on device" in log
    assert whole
    assert "a: already done" in again
    files = [
        path.relative_to(bench.out("store")) for path in bench.out("store").rglob("*.*") if path.name != "run.json"
    ]
    for file in files:
        if file.name != "status.jsonl":
            assert (folder / file).read_bytes() == (bench.out("store") / file).read_bytes(), file


def cut_copy(store: Path, copy: Path, name: str, count: int) -> tuple[Path, bytes]:
    """A copy of a store, one of whose files lacks its last bytes; and what that file was."""
    shutil.copytree(store, copy)
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-count])
    return copy, whole


@pytest.mark.parametrize("name", ["images/b.npy", "plan.json", "files.json"])
def test_a_cut_file_of_the_image_store_is_named(bench, name):
    broken, _ = cut_copy(bench.out("store"), bench.folder / f"broken-{Path(name).stem}", name, 40)
    version = f"on-{broken.name}"

    log = bench.run("train", version, *SHORT, code=2, **(stores(bench) | {"store": broken}))

    assert str(Path(name).name) in log
    assert "must" in log
    assert not (bench.out(version) / "model.pt").exists()


@pytest.mark.parametrize("name", ["b.b2nd", "foreground/b.npy"])
def test_a_cut_file_of_a_label_store_is_named_and_training_goes_on_after_repair(bench, undisturbed, name):
    broken, whole = cut_copy(bench.out("labels"), bench.folder / f"broken-labels-{Path(name).parent.name}", name, 1)
    version = f"on-{broken.name}"

    log = bench.run("train", version, *SHORT, code=2, **(stores(bench) | {"labels": broken}))
    (broken / name).write_bytes(whole)
    bench.run("train", version, *SHORT, **(stores(bench) | {"labels": broken}))

    assert f"{name}: must have {len(whole)} bytes, but has {len(whole) - 1}; make the store again" in log
    assert results(bench, version) == undisturbed
