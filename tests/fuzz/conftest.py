"""How much is fuzzed: seconds in the default tests, hours with `make fuzz`."""

import os

import pytest


@pytest.fixture(scope="session")
def fuzz_count() -> int | None:
    """How many inputs of each kind FUZZ asks for; None in the default tests."""
    return int(os.environ["FUZZ"]) if os.environ.get("FUZZ") else None


@pytest.fixture(scope="session")
def fuzz_seed() -> int:
    """Input n of a seed is always the same."""
    return int(os.environ.get("FUZZ_SEED", "0"))
