"""The check of images: of each nothing is known but what it prints, and each lock of a container counts."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner
from helpers.checking import check_rules, problems_by_rule

from coordinator.cli.tool import tool
from coordinator.conformance.check import _open_session, _try_rule, read_manifest
from coordinator.conformance.rules import RULES
from coordinator.conformance.targets import LOCKS, UID, ImageTarget
from coordinator.runners.docker import DockerRunner, image_name
from coordinator.tools.finding import Tool

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.docker


@pytest.fixture(scope="session")
def probe_image(probe: Tool, engine: docker.DockerClient, base_image: str) -> str:
    """The probe's image."""
    DockerRunner(base_image).build(probe)
    return image_name(probe)


@pytest.fixture
def make_image(probe_image: str, engine: docker.DockerClient, tmp_path: Path) -> Iterator[Callable[[str], ImageTarget]]:
    """Makes the image of a foreign tool with one thing wrong: the probe's, with another program."""
    images: list[str] = []

    def make_broken(broken: str) -> ImageTarget:
        for file in ("tool.py", "manifest.yaml"):
            shutil.copy(ROOT / "tests/tools/broken" / file, tmp_path)
        (tmp_path / "broken").write_text(broken, encoding="utf-8")
        steps = [f"FROM {probe_image}", "COPY tool.py manifest.yaml broken /app/"]
        (tmp_path / "Dockerfile").write_text("\n".join(steps), encoding="utf-8")
        image, _ = engine.images.build(path=str(tmp_path), rm=True)
        images.append(str(image.id))
        return ImageTarget(images[-1], engine, is_foreign=False)

    yield make_broken
    for image in images:
        engine.images.remove(image)


def test_an_image_passes_by_its_name(probe_image: str):
    done = CliRunner().invoke(tool, ["check", probe_image], standalone_mode=False, catch_exceptions=False)

    assert done.return_value == 0, done.stdout
    assert "bone (docker)" in done.stdout


@pytest.mark.parametrize(
    ("broken", "rules"),
    [
        ("uid", {"uid"}),
        ("network", {"network"}),
        pytest.param("root", {"root"}, marks=pytest.mark.long),
        pytest.param("shm", {"shm"}, marks=pytest.mark.long),
        pytest.param("privileges", {"privileges", "uid"}, marks=pytest.mark.long),
    ],
)
def test_the_lock_that_an_image_cannot_live_with_is_found(
    broken: str, rules: set[str], make_image: Callable[[str], ImageTarget], weights: Path
):
    results = check_rules(make_image(broken), weights, "run", *LOCKS, "grid")

    assert set(problems_by_rule(results)) == rules
    assert all(
        "runs where it has that, but fails without (" in problem for problem in problems_by_rule(results).values()
    )


WANTS_ROOT = """
import os, sys
from pathlib import Path
if sys.argv[1] == "describe":
    print(Path("/describe.json").read_text())
else:
    Path(f"/out/ran-as-{os.getuid()}").touch()
    sys.exit(os.getuid() != 0)
"""
"""A program that works for root alone, and leaves a trace of each user that it ran as."""


@pytest.fixture
def root_only(engine: docker.DockerClient, base_image: str, tmp_path: Path) -> Iterator[str]:
    """Id of a foreign image with that program."""
    shutil.copy(ROOT / "tests/foreign/describe.json", tmp_path)
    (tmp_path / "tool.py").write_text(WANTS_ROOT)
    recipe = [f"FROM {base_image}", "COPY describe.json tool.py /", 'ENTRYPOINT ["python", "/tool.py"]']
    (tmp_path / "Dockerfile").write_text("\n".join(recipe))
    image, _ = engine.images.build(path=str(tmp_path), rm=True)
    yield str(image.id)
    engine.images.remove(image.id, force=True)


def test_a_foreign_image_that_fails_is_never_run_without_its_locks(root_only: str, engine: docker.DockerClient):
    target = ImageTarget(root_only, engine)
    manifest = read_manifest(target, None)

    with _open_session(target, manifest, "v1", None) as session:
        broken = {rule.id for rule in RULES if _try_rule(rule, session, lambda line: None).problem}
        users = {path.name for path in session.work.rglob("ran-as-*")}

    assert users == {f"ran-as-{UID}"}
    assert "run" in broken
    assert not broken & set(LOCKS)


def test_an_image_that_is_no_tool_fails_at_describe(engine: docker.DockerClient, base_image: str):
    results = check_rules(ImageTarget(str(engine.images.get(base_image).id), engine), None, "describe", "run")

    assert set(problems_by_rule(results)) == {"describe"}
    assert [result.skipped for result in results] == ["", "needs a sound `describe`"]


def test_an_unknown_image_is_refused(engine: docker.DockerClient):
    done = CliRunner().invoke(tool, ["check", "nobody/has:this"])

    assert "nobody/has:this: must be a tool, a folder or an image that is here, but is none" in str(done.exception)


def test_weights_that_the_containers_user_cannot_read_are_refused(probe_image: str, tmp_path: Path):
    (tmp_path / "weights").mkdir(mode=0o700)

    done = CliRunner().invoke(tool, ["check", probe_image, "--weights", str(tmp_path / "weights")])

    assert "weights: must be readable for user 12345, as which containers run here" in str(done.exception)


def test_files_of_containers_can_be_made_removable(make_image: Callable[[str], ImageTarget], tmp_path: Path):
    folder = tmp_path / "work/out"
    folder.mkdir(parents=True)
    (folder / "file").write_text("")
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    for path in (folder, folder / "file"):
        os.chown(path, UID, UID)
        path.chmod(0o700)

    make_image("").make_removable(tmp_path / "work")

    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "file")] == ["0o777", "0o777"]
