"""A tool, a data folder and a folder for results."""

from pathlib import Path

import pytest
from helpers.brighttool import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
