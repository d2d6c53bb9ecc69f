"""Processes for many cases: bounded by cores and memory; one that is killed costs one case."""

import os
import signal
from pathlib import Path

import pytest

from contract import memory, processes
from contract.errors import CaseError
from contract.memory import available_memory
from contract.processes import count_processes, map_cases


def square(name: str, value: int) -> int:
    """What a worker does; 13 is the case that takes all memory."""
    if value == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return value**2


def test_the_order_is_that_of_the_cases():
    assert list(map_cases(square, [(str(n), n) for n in range(5)], 2, "forkserver")) == [0, 1, 4, 9, 16]


def test_a_case_whose_process_is_killed_is_the_only_one_that_fails():
    outcomes = list(map_cases(square, [(str(n), n) for n in (1, 13, 2, 3)], 2, "forkserver"))

    assert [o for o in outcomes if not isinstance(o, CaseError)] == [1, 4, 9]
    assert str(outcomes[1]).startswith("13: case must fit into memory")


def test_processes_are_bounded_by_cores_lent_and_by_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(processes, "available_memory", lambda: 10_000_000_000)

    assert count_processes(0) == 50
    assert count_processes(0, most=7) == 7
    assert count_processes(1_800_000_000) == 5
    assert count_processes(100_000_000_000) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9})
    assert count_processes(0) == 3


def test_a_control_groups_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 300\nactive_file 40\n")
    assert available_memory() == 2340

    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() > 1_000_000
