"""A study on machines that are odd: full and read-only disks, no locks, no name, no home, another user's folders."""

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.inprocess import call_coordinator
from helpers.needs import skip_or_fail
from helpers.studies import COORDINATOR, LIGHT, run_coordinator

from coordinator.datasets.phantom import make_phantom

pytestmark = pytest.mark.venvs
DISK_MB = 3


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file of two small cases that was never run."""
    make_phantom(tmp_path / "data" / "phantom", cases=2, shape=(24, 20, 8))
    (tmp_path / "study.yaml").write_text(LIGHT)
    return tmp_path / "study.yaml"


@pytest.fixture
def disk(study: Path) -> Iterator[Path]:
    """A small disk of its own, in the place of the study's `runs`."""
    runs = study.parent / "runs"
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", runs]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("disks can't be mounted here")
    yield runs
    subprocess.run(["umount", "-l", runs], check=True)


def fill(disk: Path, room_kb: int) -> Path:
    """Fill a disk with one file, but for some room."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - room_kb * 1024))
    return filler


@pytest.mark.parametrize(
    "room_kb", [pytest.param(0, marks=pytest.mark.long), 24, pytest.param(120, marks=pytest.mark.long)]
)
def test_a_full_disk_is_one_sentence_and_after_freeing_room_the_run_goes_on(study: Path, disk: Path, room_kb: int):
    filler = fill(disk, room_kb)

    full = run_coordinator("run", study)
    filler.unlink()
    free = run_coordinator("run", study)

    said = full.stdout + full.stderr
    assert full.returncode in {2, 3}, said
    assert "Traceback" not in said
    assert "No space left on device" in said
    assert str(disk) in said
    assert free.returncode == 0, free.stdout + free.stderr


def test_a_read_only_disk_is_one_sentence_for_run_and_no_matter_for_status(study: Path, disk: Path):
    assert run_coordinator("run", study).returncode == 0
    (disk / "light" / "datasets" / "phantom" / "3-scores" / "degraded-70.parquet").unlink()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    ran, seen = run_coordinator("run", study), run_coordinator("status", study)

    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {disk / 'light'}")
    assert "must be writable, but: Read-only file system" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert (seen.returncode, seen.stderr) == (0, "")
    assert "3 done, 1 to do" in seen.stdout


def test_a_file_system_without_locks_is_one_sentence(
    study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)

    ended = call_coordinator(capfd, "run", study)

    assert ended.code == 2
    assert ended.err == (
        f"error: {study.parent / 'runs/light'}: must lie on a file system with file locks (flock), but: No locks "
        "available; use a folder on another one, or mount it with locks\n"
    )


def as_nobody(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program under a user id without a name, and without variables but PATH."""
    alone = ["unshare", "--user", "--map-user=54321", "--map-group=54321", "env", "-i", f"PATH={os.defpath}"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("user namespaces are not allowed here")
    return subprocess.run([*alone, *command], capture_output=True, text=True, check=False)


def test_a_user_id_without_a_name_a_home_and_variables_runs_a_study(study: Path):
    done = as_nobody(COORDINATOR, "run", study)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["runs", "runs/light", "runs/light/.steps"])
def test_another_users_folder_is_one_sentence_with_its_owner(study: Path, place: str):
    folder = study.parent / place
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)

    ended = as_nobody(COORDINATOR, "run", study)

    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr.startswith(f"error: {folder}")
    assert "must be open to uid 54321, but: Permission denied" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["plan", "status", "report"])
def test_an_unreadable_state_file_is_named(study: Path, command: str):
    run = study.parent / "runs" / "light"
    run.mkdir(parents=True)
    (run / "plan.json").write_text("{}")
    (run / "plan.json").chmod(0)
    os.chown(run / "plan.json", 12345, 12345)

    ended = as_nobody(COORDINATOR, command, study)

    assert ended.returncode in ({0} if command == "plan" else {2}), ended.stderr
    assert "Traceback" not in ended.stderr
    assert command == "plan" or f"{run / 'plan.json'}: must be as it was written, but Permission denied" in ended.stderr
