"""What the fuzz tests share: how many inputs (FUZZ_COUNT), and from which seed (FUZZ_SEED)."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_SECONDS = 5.0


def count(default: int) -> int:
    """How many inputs to try; a few in the default tests, $FUZZ_COUNT where it is set."""
    return int(os.environ.get("FUZZ_COUNT") or default)


def seed() -> int:
    """Input n of a seed is always the same."""
    return int(os.environ.get("FUZZ_SEED") or 0)


def generator(name: str) -> random.Random:
    """Draws the same inputs in every run; another $FUZZ_SEED draws others."""
    return random.Random(f"{name} {seed()}")  # noqa: S311 - nothing secret


@contextmanager
def bounded(what: object) -> Iterator[None]:
    """Fail where the block takes too much of this process's time."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < MOST_SECONDS, f"{taken:.1f} s for {what!r}"
