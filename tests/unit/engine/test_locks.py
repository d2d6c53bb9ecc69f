"""Who holds a lock: the kernel is asked, not a number in a file."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.engine import locks
from coordinator.engine.locks import hold_lock

HOLD = """
import subprocess, sys, time
from pathlib import Path
from coordinator.engine.locks import hold_lock
with hold_lock(Path(sys.argv[1]), on_busy=lambda holder: print(holder, flush=True)) as lock:
    tool = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    print(tool.pid, flush=True)
    tool.wait()
"""


class Holder:
    """A step that holds a lock, and its tool, which inherited it."""

    def __init__(self, file: Path) -> None:
        self.step = subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE, text=True)
        assert self.step.stdout is not None
        self.tool = int(self.step.stdout.readline())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    held = Holder(tmp_path / "a.lock")
    yield held
    held.step.kill()
    held.step.wait()
    held.step.stdout.close()  # type: ignore[union-attr]
    if is_alive(held.tool):
        os.kill(held.tool, signal.SIGKILL)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ends(process: int) -> bool:
    end = time.monotonic() + 20
    while is_alive(process) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(process)


def test_a_tool_whose_step_was_killed_is_the_holder_and_gets_sigterm(holder: Holder, tmp_path: Path):
    holder.step.kill()
    holder.step.wait()

    users = locks.find_users(tmp_path / "a.lock")
    locks.stop_users([tmp_path / "a.lock"])

    assert users == {holder.tool}
    assert ends(holder.tool)


def test_a_step_that_lives_gets_sigterm_and_its_tool_is_left_to_it(
    holder: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    signalled: list[int] = []
    monkeypatch.setattr(locks, "_terminate", lambda process, keys: signalled.append(process))

    locks.stop_users([tmp_path / "a.lock"])

    assert locks.find_users(tmp_path / "a.lock") == {holder.step.pid, holder.tool}
    assert signalled == [holder.step.pid]


def test_a_process_that_got_the_number_of_a_dead_holder_is_never_signalled(tmp_path: Path):
    bystander = subprocess.Popen(["sleep", "60"])
    (tmp_path / "a.lock").write_text(f"{bystander.pid} on {os.uname().nodename}")

    locks.stop_users([tmp_path / "a.lock"])

    assert not locks.is_held(tmp_path / "a.lock")
    assert is_alive(bystander.pid)
    bystander.kill()
    bystander.wait()


def test_a_process_that_waits_for_a_lock_gets_sigterm_too(holder: Holder, tmp_path: Path):
    waiting = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a.lock"], stdout=subprocess.PIPE, text=True)
    with waiting, waiting.stdout as words:  # type: ignore[union-attr]
        told = words.readline().strip()

        locks.stop_users([tmp_path / "a.lock"])

        assert told == f"process {holder.step.pid}"
        assert waiting.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("content", [b"\xff\xfe\x00garbage", b"", b"99999999 on nowhere", b"5"])
def test_whatever_a_lock_file_says_it_is_taken_and_waited_for(content: bytes, tmp_path: Path):
    (tmp_path / "a.lock").write_bytes(content)

    with hold_lock(tmp_path / "a.lock", on_busy=pytest.fail):
        held = locks.is_held(tmp_path / "a.lock")

    assert held
    assert not locks.is_held(tmp_path / "a.lock")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)

    with (
        pytest.raises(UsageError, match="must lie on a file system with file locks") as refused,
        hold_lock(tmp_path / "a.lock", on_busy=pytest.fail),
    ):
        pass
    assert str(refused.value).startswith(f"{tmp_path}: ")
