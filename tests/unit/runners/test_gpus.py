"""Leases of GPUs, between real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.runners import gpus

HOLD = """
import sys, time
from coordinator.runners import gpus
with gpus.lease(int(sys.argv[1]), poll_s=0.02) as leased:
    print(*leased, flush=True)
    sys.stdin.readline()
"""
HOLD_BY_CHILD = """
import subprocess, time
from coordinator.runners import gpus
with gpus.lease(1) as leased:
    child = subprocess.Popen(["sleep", "60"], pass_fds=leased.files)
    print(child.pid, flush=True)
    time.sleep(60)
"""
NVIDIA_SMI = """#!/bin/sh
echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa1111-0000-0000-0000-000000000000)"
echo "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb2222-0000-0000-0000-000000000000)"
echo "  MIG 1g.5gb Device 0: (UUID: MIG-cccc3333-0000-0000-0000-000000000000)"
"""


@pytest.fixture(autouse=True)
def _two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, and a folder of leases that no one else uses."""
    monkeypatch.setenv("COORDINATOR_GPUS", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def hold(count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", HOLD, str(count)], stdin=-1, stdout=-1, text=True)


def held_by(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_jobs_of_a_batch_system_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COORDINATOR_GPUS", "0")  # where a job sees its own GPU alone, that is number 0 in each
    monkeypatch.setenv("SLURM_JOB_ID", "11")
    with gpus.lease(1) as first:
        monkeypatch.setenv("SLURM_JOB_ID", "12")
        with gpus.lease(1) as second:
            assert (*first, *second) == (0, 0)


def test_two_processes_get_different_gpus_and_a_third_waits_for_the_first_that_ends():
    with hold(1) as first, hold(1) as second:
        assert {held_by(first), held_by(second)} == {"0", "1"}
        with hold(1) as third:
            time.sleep(0.6)
            assert third.poll() is None
            first.communicate("done\n")

            assert held_by(third) in {"0", "1"}
            third.communicate("done\n")
        second.communicate("done\n")


def test_a_lease_ends_with_the_process_that_is_killed():
    with hold(2) as holder:
        assert held_by(holder) == "0 1"
        holder.kill()

    with gpus.lease(2, poll_s=0.02) as leased:
        assert leased == (0, 1)


def test_a_tool_that_outlives_its_killed_parent_keeps_its_gpu():
    with subprocess.Popen([sys.executable, "-c", HOLD_BY_CHILD], stdout=-1, text=True) as parent:
        child = int(held_by(parent))
        parent.kill()
        parent.wait()

        with gpus.lease(1) as leased:
            assert leased == (1,)
        os.kill(child, 9)
    with gpus.lease(2, poll_s=0.02) as leased:
        assert leased == (0, 1)


def test_a_program_that_waits_for_two_holds_none():
    with hold(1) as one:
        held = held_by(one)
        with hold(2) as two:
            time.sleep(0.6)
            with gpus.lease(1, poll_s=0.01) as leased:
                assert leased == ({"0": 1, "1": 0}[held],)
            one.communicate("done\n")

            assert held_by(two) == "0 1"
            two.communicate("done\n")


def test_no_gpu_is_leased_at_once():
    with gpus.lease(0) as leased:
        assert leased == ()
        assert leased.files == ()


def test_more_than_there_are_is_refused():
    with pytest.raises(UsageError, match="3 GPUs are needed, but this machine has 2"), gpus.lease(3):
        pass


@pytest.mark.parametrize(("visible", "expected"), [("1", (1,)), ("", ()), ("-1", ()), ("1,7,0", (1,)), ("1,0", (0, 1))])
def test_only_visible_devices_count(visible: str, expected: tuple[int, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert gpus.list_gpus() == expected


@pytest.mark.parametrize(("visible", "expected"), [(None, (0, 1)), ("GPU-bbbb", (1,)), ("0", (0,))])
def test_gpus_are_read_from_nvidia_smi(
    visible: str | None, expected: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("COORDINATOR_GPUS")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert gpus.list_gpus() == expected


def test_an_invalid_list_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COORDINATOR_GPUS", "all")

    with pytest.raises(UsageError, match="COORDINATOR_GPUS must list indices such as 0,1, but it is 'all'"):
        gpus.list_gpus()
