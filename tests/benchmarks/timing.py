"""CPU times: the machine may have other things to do."""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """Result and CPU seconds."""
    since = time.process_time()
    result = function()
    return result, time.process_time() - since


def medians(runs: int, first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of two functions that take turns, each one's median."""
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for function, seconds in zip((first, second), both, strict=True):
            seconds.append(timed(function)[1])
    return statistics.median(both[0]), statistics.median(both[1])
