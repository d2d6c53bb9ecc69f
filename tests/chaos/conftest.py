"""What trials share: undisturbed runs, an engine that may be stopped, and the table at the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chaos import Calm, MakeCalm, tabulate, write_study
from helpers.ownengine import OwnEngine
from helpers.studies import read_contents, run_coordinator

from coordinator.runners.docker import image_name
from coordinator.tools.finding import find_tool

TRIAL = "trial"
"""The property of a test's report that says what came of its trial; reports also come from other processes."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of all trials."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.getreports(name)]
    for line in tabulate(value for report in reports for name, value in report.user_properties if name == TRIAL):
        terminalreporter.write_line(line)


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> dict[str, object]:
    """What comes of a trial: its fault, and columns of the table."""
    found: dict[str, object] = {}
    request.node.user_properties.append((TRIAL, found))
    return found


def run_calmly(folder: Path, kind: str, engine: OwnEngine | None) -> Calm:
    """Write a study and run it."""
    study = write_study(folder, kind, "docker" if engine else "process")
    begun = time.monotonic()
    done = run_coordinator("run", study, environment=engine.environment if engine else {})
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = time.monotonic() - begun
    return Calm(study, read_contents(folder / "runs/chaos"), seconds)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> MakeCalm:
    """An undisturbed run of a kind of study, made once."""
    made: dict[str, Calm] = {}

    def run(kind: str, engine: OwnEngine | None) -> Calm:
        name = f"{kind}-docker" if engine else kind
        if name not in made:
            made[name] = run_calmly(tmp_path_factory.mktemp("calm") / name, kind, engine)
        return made[name]

    return run


@pytest.fixture(scope="session")
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    """An engine with the image of `degrade`, stopped at the end."""
    engine = OwnEngine(tmp_path_factory.mktemp("engine"))
    engine.copy_image(image_name(find_tool("degrade")))
    yield engine
    engine.end()
