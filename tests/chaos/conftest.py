"""What trials share: undisturbed runs, an engine that may be stopped, and the table at the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chaos import Calm, MakeCalm, Tally, write_study
from helpers.ownengine import OwnEngine
from helpers.studies import read_contents, run_coordinator

from coordinator.runners.docker import image_name
from coordinator.tools.finding import find_tool

TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[TALLY] = Tally()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what came of all trials."""
    for line in config.stash[TALLY].lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """Counts what comes of trials."""
    return pytestconfig.stash[TALLY]


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
    engine.stop()
