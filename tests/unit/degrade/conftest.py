"""The tool's modules, which are found while its folder is on the path."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOL = Path(__file__).resolve().parents[3] / "containers" / "degrade"


@pytest.fixture(scope="module")
def tool() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(TOOL))
    import degrade_tool.applying as applying
    import degrade_tool.boundary as boundary
    import degrade_tool.degradations as degradations
    import degrade_tool.drawing as drawing
    import degrade_tool.fields as fields

    yield SimpleNamespace(
        applying=applying, boundary=boundary, degradations=degradations, drawing=drawing, fields=fields
    )
    sys.path.remove(str(TOOL))
