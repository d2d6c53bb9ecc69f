"""The Docker runner through Podman's Docker-compatible socket, of root and of an ordinary user."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from helpers.podman import OwnPodman, find_user
from helpers.running import (
    log_has,
    make_invocation,
    read_probe_facts,
    read_results,
    start_runner,
    stop_in_the_middle,
    wait_until,
)

from contract.errors import UsageError
from coordinator.conformance.targets import ImageTarget
from coordinator.runners import Invocation
from coordinator.runners.docker import DockerRunner, image_name
from coordinator.runners.images import find_image
from coordinator.tools.finding import Tool

# Images come from the machine's Docker engine.
pytestmark = [pytest.mark.podman, pytest.mark.docker]


@pytest.fixture(scope="module", params=["of root", "rootless"])
def podman(
    request: pytest.FixtureRequest, probe: Tool, tiny: Path, engine: docker.DockerClient, base_image: str
) -> Iterator[OwnPodman]:
    """A Podman that has the probe's image, its base, and the dataset; where none can run, also CI skips."""
    own = OwnPodman(find_user(rootless=request.param == "rootless"))
    try:
        DockerRunner(base_image).build(probe)
        own.start()
        own.load(image_name(probe), base_image)
        own.try_container(image_name(probe))
        shutil.copytree(tiny, own.folder / "data", copy_function=shutil.copyfile)
        (own.folder / "data").chmod(0o755)
        yield own
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(str(error))
    finally:
        own.end()


@pytest.fixture
def runner(podman: OwnPodman, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerRunner]:
    """A runner that DOCKER_HOST leads to it."""
    monkeypatch.setenv("DOCKER_HOST", podman.address)
    made = DockerRunner()
    yield made
    made.client.close()


@pytest.fixture
def invocation(podman: OwnPodman, probe: Tool, request: pytest.FixtureRequest) -> Invocation:
    """An invocation of the probe whose results its user may write."""
    folder = podman.folder / re.sub("[^a-z]+", "-", request.node.name.partition("[")[0])[:40]
    made = make_invocation(probe, podman.folder / "data", folder)
    made.out.mkdir()
    os.chown(made.out, podman.user.pw_uid, podman.user.pw_gid)
    return made


def pause(invocation: Invocation, seconds: str) -> Invocation:
    """Let an invocation pause at each case."""
    return replace(invocation, arguments=(*invocation.arguments, "--pause-s", seconds))


def test_a_container_is_locked_down_and_its_files_are_the_callers(
    runner: DockerRunner, invocation: Invocation, podman: OwnPodman, engine: docker.DockerClient
):
    code = runner.run(invocation)

    facts = read_probe_facts(invocation)
    assert code == 0
    assert {path.stat().st_uid for path in invocation.out.rglob("*")} == {podman.user.pw_uid}
    assert {path.stat().st_gid for path in invocation.out.rglob("*")} == {podman.user.pw_gid}
    assert facts["writes"] == {"/": False, "/app": False, "/tmp": True, "/data": False}  # noqa: S108
    assert facts["network"] is False
    assert facts["capabilities"] == "0000000000000000"
    assert (facts["shm_mb"], facts["tmp_mb"]) == (96, 200)
    assert facts["data"] == ["dataset.yaml", "images"]
    assert facts["image_id"] == engine.images.get(image_name(invocation.tool)).id
    assert facts["processes"] == ("128" if runner.engine.bounds_processes else "")
    assert not runner.client.containers.list(all=True)


def test_the_printed_line_does_the_same_when_pasted(runner: DockerRunner, invocation: Invocation, podman: OwnPodman):
    runner.run(invocation)
    first = read_results(invocation)
    shutil.rmtree(invocation.out / "tiny")

    line = invocation.log.read_text().splitlines()[0]
    subprocess.run(["bash", "-c", line], check=True, capture_output=True)

    assert line.startswith(f"podman --url {podman.address} run --rm --init --name ")
    assert read_results(invocation) == first
    assert {path.stat().st_uid for path in invocation.out.rglob("*")} == {podman.user.pw_uid}
    assert len(first) == 3


def test_the_run_record_says_what_is_not_bounded(runner: DockerRunner, invocation: Invocation):
    runner.run(invocation)

    record = json.loads((invocation.out / "tiny/probe-bone/run.json").read_text())
    assert record["unrestricted"] == (runner.engine.unrestricted or None)


def test_sigterm_stops_the_container_and_only_whole_files_stay(runner: DockerRunner, invocation: Invocation):
    slow = pause(invocation, "2")
    stop_in_the_middle("docker", slow, 40)
    assert not runner.client.containers.list(all=True)


def test_a_container_that_outlived_its_coordinator_is_taken_over(runner: DockerRunner, invocation: Invocation):
    slow = pause(invocation, "1.5")
    with start_runner("docker", slow) as program:
        wait_until(lambda: log_has(slow, "working on a"))
        program.kill()

    assert runner.run(slow) == 0
    log = slow.log.read_text()
    assert [log.count(text) for text in (" run --rm ", "probe: ", "working on a", "working on c")] == [1, 1, 1, 1]
    assert log.endswith("3 of 3 cases done, 0 failed\n")


def test_a_container_of_an_older_plan_is_replaced(runner: DockerRunner, invocation: Invocation):
    older = pause(invocation, "30")
    with start_runner("docker", older) as program:
        wait_until(lambda: log_has(older, "working on a"))
        program.kill()

    code = runner.run(replace(invocation, fingerprint="f2"))

    assert code == 0
    assert older.log.read_text().count("probe: ") == 2


def test_the_tools_exit_code_comes_back(runner: DockerRunner, invocation: Invocation):
    without_cases = replace(invocation, arguments=(*invocation.arguments, "--cases", "nobody"))

    assert runner.run(without_cases) == 2
    assert log_has(invocation, "tiny has no case 'nobody'")


def test_a_folder_that_is_missing_is_not_made(runner: DockerRunner, invocation: Invocation, podman: OwnPodman):
    missing = podman.folder / "missing"

    with pytest.raises(UsageError, match=f"{missing}: folder must be readable"):
        runner.run(replace(invocation, inputs={"store": missing}))

    assert not missing.exists()


def test_gpus_are_refused(runner: DockerRunner, invocation: Invocation):
    with pytest.raises(UsageError, match="Podman's Docker-compatible interface passes none on"):
        runner.run(replace(invocation, gpus=(0,)))


def test_an_image_is_found_by_name_id_and_name_with_id(runner: DockerRunner, probe: Tool):
    name, code_id = image_name(probe), runner.code_id(probe)

    for spelled in (name, f"localhost/{name}", code_id, f"label-quality/probe@{code_id}"):
        found = find_image(runner.client, spelled)

        assert found is not None, spelled
        assert found.id == code_id
    assert find_image(runner.client, f"label-quality/other@{code_id}") is None
    assert find_image(runner.client, f"{name}9") is None


def test_an_image_describes_itself_to_a_check(runner: DockerRunner, probe: Tool, podman: OwnPodman):
    target = ImageTarget(runner.code_id(probe), runner.client)

    assert target.describe() == runner.describe(probe)
    assert target.owner == (None if podman.user.pw_uid else 12345)


def test_podman_builds_an_image_of_a_tool(runner: DockerRunner, probe: Tool, base_image: str):
    newer = replace(probe, manifest=probe.manifest.model_copy(update={"version": "0.1.1"}))

    DockerRunner(base_image).build(newer)

    image = runner.client.images.get(image_name(newer))
    assert image.id == runner.code_id(newer)
    assert image.attrs["Config"]["User"] == "10001:10001"
    assert image.attrs["Config"]["Entrypoint"] == ["/opt/venv/bin/python", "/app/tool.py"]
