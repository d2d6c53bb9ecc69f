"""Work on many cases in several processes: as many as cores and memory allow, and each case's failure its own."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any, Literal, TypeVar

from contract.errors import CaseError
from contract.memory import available_memory

T = TypeVar("T")
PROCESS_BYTES = 200_000_000
"""Of a process with its libraries, before it reads a case."""


def count_processes(bytes_of_case: int, most: int | None = None) -> int:
    """How many processes may work at once, at least one.

    Args:
        bytes_of_case: memory that the largest case takes in a process.
        most: further limit, such as the number of cases.
    """
    cores = len(os.sched_getaffinity(0))  # not the machine's: a scheduler may lend only some
    affordable = available_memory() // (PROCESS_BYTES + bytes_of_case)
    return max(1, min(cores, affordable, cores if most is None else most))


def map_cases(
    function: Callable[..., T], cases: Iterable[tuple[Any, ...]], processes: int, start: Literal["spawn", "forkserver"]
) -> Iterator[T | CaseError]:
    """Call a function with the arguments of each case, in their order; few cases wait at a time.

    Args:
        function: picklable; expected to return failures of a case rather than to raise them.
        cases: the arguments; the first one is the path or name that a failure is told with.
        processes: how many; one works in this process.
        start: how processes start. Not forked: threads of libraries would leave locks held for ever.

    Yields:
        What the function returns; an error where the process of a case was killed, as by lack of memory.
    """
    if processes <= 1:
        yield from (function(*case) for case in cases)
        return
    remaining = iter(cases)
    begun: deque[tuple[Any, ...]] = deque()
    results: deque[Future[T]] = deque()
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context(start), initializer=end_with_parent)
    try:
        while True:
            try:
                while len(results) <= processes and (case := next(remaining, None)) is not None:
                    begun.append(case)
                    results.append(pool.submit(function, *case))
                if not results:
                    return
                result = results.popleft().result()
            except BrokenExecutor:
                break
            begun.popleft()
            yield result
        yield from _one_by_one(function, begun, remaining, start)
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """End this worker process when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _one_by_one(
    function: Callable[..., T], begun: Iterable[tuple[Any, ...]], remaining: Iterator[tuple[Any, ...]], start: str
) -> Iterator[T | CaseError]:
    """Go on after a process was killed, with one process at a time: so it shows which case ends it."""
    for case in (*begun, *remaining):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start), initializer=end_with_parent) as pool:
            try:
                result: T | CaseError = pool.submit(function, *case).result()
            except BrokenExecutor:
                result = CaseError(
                    f"{case[0]}: case must fit into memory, but the process that read it was killed; use a machine "
                    "with more memory, or exclude the case under `exclude:` in dataset.yaml"
                )
        yield result
