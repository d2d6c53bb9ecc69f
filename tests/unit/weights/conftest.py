"""A server with weights, and the tool `net` that needs them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.servers import Files, file_server
from helpers.weights import MANY, ONE, OTHER, write_tool


@pytest.fixture
def server() -> Iterator[Files]:
    with file_server({"/one.pt": ONE, "/v2/Many.zip": MANY, "/two.pt": OTHER}) as files:
        yield files


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxies of the machine; a working folder and tools of the test's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "tools"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tool(tmp_path: Path, server: Files) -> Callable[..., None]:
    """Writes the tool `net`: variants one (a file) and many (an archive); keywords change both entries."""

    def make(**changes: object) -> None:
        entries = {
            "one": {"file": "one.pt", "url": server.url("/one.pt"), "licence": "MIT"},
            "many": {"file": "Many", "url": server.url("/v2/Many.zip"), "archive": "zip", "licence": "MIT"},
        }
        changed = {v: [{k: x for k, x in {**e, **changes}.items() if x is not None}] for v, e in entries.items()}
        write_tool(tmp_path / "tools", changed)

    make()
    return make
