"""Tools as containers: the probe, built and started by a real engine."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from helpers.hashes import break_hashes
from helpers.running import (
    log_has,
    make_invocation,
    read_probe_facts,
    read_results,
    show_labels,
    start_runner,
    stop_in_the_middle,
    wait_until,
)

from contract.errors import UsageError
from coordinator.runners import compose
from coordinator.runners.docker import DockerRunner, image_name
from coordinator.runners.sandbox import make_sandbox
from coordinator.runners.toolsources import IGNORED_NAMES
from coordinator.tools.finding import Tool

pytestmark = pytest.mark.docker


@pytest.fixture(scope="session")
def built(probe: Tool, engine: docker.DockerClient, base_image: str) -> Tool:
    """The probe with its image."""
    DockerRunner(base_image).build(probe)
    return probe


@pytest.fixture
def runner(engine: docker.DockerClient) -> Iterator[DockerRunner]:
    """A runner whose connection is closed afterwards."""
    made = DockerRunner()
    yield made
    made.client.close()


def test_a_container_is_locked_down(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run")

    code = runner.run(invocation)

    facts = read_probe_facts(invocation)
    assert code == 0
    assert facts["uid"] == os.getuid()
    assert facts["writes"] == {"/": False, "/app": False, "/tmp": True, "/data": False}  # noqa: S108
    assert facts["network"] is False
    assert facts["capabilities"] == "0000000000000000"
    assert (facts["shm_mb"], facts["tmp_mb"], facts["processes"]) == (96, 200, "128")
    assert (facts["home"], facts["threads"]) == ("/tmp", "1")  # noqa: S108
    assert facts["image_id"] == runner.code_id(built)
    assert {path.stat().st_uid for path in invocation.out.rglob("*")} == {os.getuid()}


def test_only_what_is_shown_is_seen(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    (tmp_path / "earlier").mkdir()
    without = make_invocation(built, tiny, tmp_path / "without")
    with_both = replace(
        show_labels(make_invocation(built, tiny, tmp_path / "with")), inputs={"store": tmp_path / "earlier"}
    )

    runner.run(without)
    runner.run(with_both)

    assert (read_probe_facts(without)["data"], read_probe_facts(without)["inputs"]) == (["dataset.yaml", "images"], [])
    assert read_probe_facts(with_both)["data"] == ["dataset.yaml", "images", "labels"]
    assert read_probe_facts(with_both)["inputs"] == ["store"]


def test_images_that_are_links_are_seen(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    images = tmp_path / "data/tiny/images"
    images.mkdir(parents=True)
    shutil.copy(tiny / "tiny/dataset.yaml", images.parent)
    for source in (tiny / "tiny/images").iterdir():
        (images / source.name).symlink_to(source)
    invocation = make_invocation(built, tmp_path / "data", tmp_path / "run")

    assert runner.run(invocation) == 0
    assert list(read_results(invocation)) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_the_printed_line_does_the_same_when_pasted(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "it's, a run")
    runner.run(invocation)
    first = read_results(invocation)
    shutil.rmtree(invocation.out / "tiny")

    line = invocation.log.read_text().splitlines()[0]
    subprocess.run(["bash", "-c", line], check=True, capture_output=True)

    assert line.startswith("docker run --rm --init --name ")
    assert read_results(invocation) == first
    assert len(first) == 3


def test_sigterm_stops_the_container_and_only_whole_files_stay(
    built: Tool, engine: docker.DockerClient, tiny: Path, tmp_path: Path
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "2")
    stop_in_the_middle("docker", invocation, 40)
    assert not engine.containers.list(all=True, filters={"name": invocation.name})


def test_a_container_that_outlived_its_coordinator_is_taken_over(
    built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path
):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "1.5")
    with start_runner("docker", invocation) as program:
        wait_until(lambda: log_has(invocation, "working on a"))
        program.kill()

    assert runner.run(invocation) == 0
    log = invocation.log.read_text()
    assert [log.count(text) for text in ("docker run ", "probe: ", "working on a", "working on c")] == [1, 1, 1, 1]
    assert log.endswith("3 of 3 cases done, 0 failed\n")


def test_a_container_of_an_older_plan_is_replaced(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    older = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "30")
    with start_runner("docker", older) as program:
        wait_until(lambda: log_has(older, "working on a"))
        program.kill()

    code = runner.run(replace(older, fingerprint="f2", arguments=("--dataset", "tiny")))

    assert code == 0
    assert older.log.read_text().count("probe: ") == 2


def test_a_container_of_another_run_is_left_alone(
    built: Tool, runner: DockerRunner, engine: docker.DockerClient, tiny: Path, tmp_path: Path
):
    other = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "30")
    with start_runner("docker", other) as program:
        wait_until(lambda: log_has(other, "working on a"))
        try:
            with pytest.raises(
                UsageError, match=f"container of this name must be of this run, but writes to {other.out}"
            ):
                runner.run(replace(other, out=tmp_path / "elsewhere"))
            assert engine.containers.get(other.name).status == "running"
        finally:
            program.send_signal(signal.SIGTERM)


def test_the_tools_exit_code_comes_back(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--cases", "nobody")

    assert runner.run(invocation) == 2
    assert log_has(invocation, "tiny has no case 'nobody'")


def test_gpus_that_the_engine_cannot_give_are_refused(built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path):
    invocation = replace(make_invocation(built, tiny, tmp_path / "run"), gpus=(0, 1))
    assert """--gpus '"device=0,1"'""" in make_sandbox(invocation, "image", runner.engine).command_line(())
    if "nvidia" in runner.client.info()["Runtimes"]:
        pytest.skip("this engine can give GPUs")

    with pytest.raises(UsageError, match="install the NVIDIA container toolkit"):
        runner.run(invocation)


def test_the_image_holds_our_files_and_no_compiler(built: Tool, engine: docker.DockerClient):
    script = "cd /app && find . -type f ! -name '*.pyc' | sort; command -v gcc cc make; ls /opt/venv/bin | grep ^pip"
    output = engine.containers.run(
        image_name(built), ["-c", script + "; true"], entrypoint="/bin/sh", remove=True, user="12345:54321"
    )

    expected = {path.name for path in built.folder.iterdir()} - IGNORED_NAMES - {"requirements.lock"}
    assert output.decode().split() == sorted(f"./{name}" for name in expected)


def test_the_image_says_what_it_is(built: Tool, engine: docker.DockerClient):
    image = engine.images.get(image_name(built))

    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in image.labels.items()}
    assert (labels["title"], labels["version"]) == ("label-quality/probe", "0.1.0")
    assert (labels["licenses"], labels["revision"]) == ("Apache-2.0", "unknown")
    assert image.attrs["Config"]["User"] == "10001:10001"
    assert image.attrs["Config"]["Entrypoint"] == ["/opt/venv/bin/python", "/app/tool.py"]


def test_an_image_whose_packages_have_another_hash_does_not_build(
    probe: Tool, base_image: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(probe.folder.parent, tmp_path / "containers") / "probe"
    break_hashes(folder / "requirements.lock", "annotated-types")

    with pytest.raises(UsageError, match="image must build, but: .*; the reason is printed above"):
        DockerRunner(base_image).build(Tool(folder, probe.manifest))

    printed = capfd.readouterr().err
    assert "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE" in printed
    assert "annotated-types==0.8.0 from " in printed


def test_an_image_is_built_again_when_the_dockerfile_of_all_tools_changes(
    built: Tool, runner: DockerRunner, tmp_path: Path
):
    folder = shutil.copytree(built.folder.parent, tmp_path / "containers") / "probe"
    tool = Tool(folder, built.manifest)
    assert runner.code_id(tool) == runner.code_id(built)

    with (folder.parent / "Dockerfile").open("a", encoding="utf-8") as file:
        file.write("# another word\n")

    with pytest.raises(UsageError, match="is from other sources; run `coordinator tool build probe`"):
        runner.code_id(tool)


def test_an_image_is_built_again_only_when_its_sources_change(built: Tool, base_image: str, runner: DockerRunner):
    code_id = runner.code_id(built)
    DockerRunner(base_image).build(built)
    assert runner.code_id(built) == code_id

    settings = built.folder / "settings.py"
    code = settings.read_text()
    settings.write_text(f"{code}\n# another word\n")
    try:
        with pytest.raises(UsageError, match="is from other sources; run `coordinator tool build probe`"):
            runner.code_id(built)
    finally:
        settings.write_text(code)


def test_a_tool_without_an_image_says_how_to_build_it(built: Tool, runner: DockerRunner):
    unbuilt = replace(built, manifest=built.manifest.model_copy(update={"version": "99.0.0"}))

    with pytest.raises(UsageError, match="not built: run `coordinator tool build probe`"):
        runner.code_id(unbuilt)


def test_an_image_that_does_not_say_what_it_was_built_from_is_refused(
    probe: Tool, engine: docker.DockerClient, base_image: str, runner: DockerRunner
):
    unlabelled = replace(probe, manifest=probe.manifest.model_copy(update={"version": "9.9.9"}))
    engine.images.get(base_image).tag(*image_name(unlabelled).split(":"))

    try:
        with pytest.raises(
            UsageError, match=r"has no label label-quality\.sources.*run `coordinator tool build probe`"
        ):
            runner.code_id(unlabelled)
    finally:
        engine.images.remove(image_name(unlabelled))


def test_an_image_that_docker_compose_built_is_as_good_as_ours(
    probe: Tool, engine: docker.DockerClient, base_image: str, runner: DockerRunner
):
    file = probe.folder.parents[1] / "compose.yaml"
    file.write_text(compose.render([probe]), encoding="utf-8")
    variables = {"HOST_UID": "1", "HOST_GID": "1", "BASE": base_image}

    subprocess.run(
        ["docker", "compose", "--file", file, "build", "probe"],
        env=os.environ | variables,
        check=True,
        capture_output=True,
    )

    built = runner.code_id(probe)
    DockerRunner(base_image).build(probe)
    assert runner.code_id(probe) == built


def test_both_runtimes_write_the_same_bytes(
    built: Tool, runner: DockerRunner, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from coordinator.runners.process import ProcessRunner

    monkeypatch.setenv("PATH", str(Path(__file__).resolve().parents[2] / ".venvs/uv/bin"), prepend=os.pathsep)
    ProcessRunner().build(built)
    in_container, in_process = (make_invocation(built, tiny, tmp_path / name) for name in ("container", "process"))

    runner.run(in_container)
    ProcessRunner().run(in_process)

    assert read_results(in_container) == read_results(in_process)
    assert shlex.split(in_container.log.read_text().splitlines()[0])[-2:] == ["--dataset", "tiny"]
