"""A small dataset for steps that are done in this process, which set its handler of SIGTERM."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chains import make_dataset


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    handler = signal.getsignal(signal.SIGTERM)
    make_dataset(tmp_path / "data")
    yield tmp_path / "data"
    signal.signal(signal.SIGTERM, handler)
