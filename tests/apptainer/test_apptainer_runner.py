"""Tools as containers of Apptainer: the probe, in a SIF file that was made of its image."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner
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
from contract.filelocks import lock
from coordinator.cli.tool import tool as tool_command
from coordinator.engine.locks import is_held
from coordinator.runners import sifs
from coordinator.runners.apptainer import ApptainerRunner
from coordinator.runners.docker import DockerRunner, image_name
from coordinator.tools.finding import Tool

pytestmark = [pytest.mark.docker, pytest.mark.apptainer]


@pytest.fixture(scope="session")
def built(probe: Tool, engine: docker.DockerClient, base_image: str, apptainer: str) -> Tool:
    """The probe with its image and its SIF file."""
    DockerRunner(base_image).build(probe)
    ApptainerRunner().build(probe)
    return probe


def test_a_container_is_locked_down(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run")

    code = ApptainerRunner().run(invocation)

    facts = read_probe_facts(invocation)
    assert code == 0
    assert facts["uid"] == os.getuid()
    assert facts["writes"] == {"/": False, "/app": False, "/tmp": True, "/data": False}  # noqa: S108
    assert facts["network"] is False
    assert facts["capabilities"] == "0000000000000000"
    assert (facts["home"], facts["threads"], facts["pythonpath"]) == ("/tmp", "1", None)  # noqa: S108
    assert facts["shm_mb"] >= built.manifest.resources.shm_mb
    assert facts["image_id"] == ApptainerRunner().code_id(built)
    assert {path.stat().st_uid for path in invocation.out.rglob("*")} == {os.getuid()}


def test_only_what_is_shown_is_seen(built: Tool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APPTAINER_BIND", str(tiny / "tiny/labels") + ":/data/tiny/labels")
    monkeypatch.setenv("APPTAINERENV_PYTHONPATH", "/elsewhere")
    (tmp_path / "earlier").mkdir()
    without = make_invocation(built, tiny, tmp_path / "without")
    with_both = replace(
        show_labels(make_invocation(built, tiny, tmp_path / "with")), inputs={"store": tmp_path / "earlier"}
    )

    ApptainerRunner().run(without)
    ApptainerRunner().run(with_both)

    facts = read_probe_facts(without)
    assert (facts["data"], facts["inputs"], facts["pythonpath"]) == (["dataset.yaml", "images"], [], None)
    assert read_probe_facts(with_both)["data"] == ["dataset.yaml", "images", "labels"]
    assert read_probe_facts(with_both)["inputs"] == ["store"]


def test_the_same_bytes_as_docker_in_a_folder_with_an_odd_name(built: Tool, tiny: Path, tmp_path: Path):
    odd = tmp_path / 'it\'s, a:run "with" $HOME'
    images = odd / "data/tiny/images"
    images.mkdir(parents=True)
    shutil.copy(tiny / "tiny/dataset.yaml", images.parent)
    for source in (tiny / "tiny/images").iterdir():
        (images / source.name).symlink_to(source)
    in_docker = make_invocation(built, tiny, tmp_path / "docker")
    in_apptainer = make_invocation(built, odd / "data", odd / "apptainer")

    assert DockerRunner().run(in_docker) == ApptainerRunner().run(in_apptainer) == 0

    assert list(read_results(in_docker)) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert read_results(in_apptainer) == read_results(in_docker)


def test_the_printed_line_does_the_same_when_pasted(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "it's, a run")
    ApptainerRunner().run(invocation)
    first = read_results(invocation)
    shutil.rmtree(invocation.out / "tiny")

    words = shlex.split(invocation.log.read_text().splitlines()[0])
    scratch = next(word for word in words if word.startswith("--home=")).removeprefix("--home=").partition(":")[0]
    assert not Path(scratch).exists()  # it was removed after the run
    Path(scratch).mkdir()
    subprocess.run(words, check=True, capture_output=True)
    shutil.rmtree(scratch)

    assert read_results(invocation) == first
    assert len(first) == 3


def test_a_path_of_two_lines_is_refused(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "two\nlines")

    with pytest.raises(UsageError, match=r"must be a path of one line for Apptainer"):
        ApptainerRunner().run(invocation)


def test_sigterm_stops_the_container_and_only_whole_files_stay(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "2")
    stop_in_the_middle("apptainer", invocation, 40)


def test_a_container_that_outlives_its_coordinator_holds_the_lock_of_its_step(built: Tool, tiny: Path, tmp_path: Path):
    file = tmp_path / "step.lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    lock(descriptor, file, wait=False)
    invocation = replace(make_invocation(built, tiny, tmp_path / "run", "--pause-s", "1.5"), held_files=(descriptor,))
    with start_runner("apptainer", invocation) as program:
        os.close(descriptor)
        wait_until(lambda: log_has(invocation, "working on a"))
        program.kill()

    assert is_held(file)
    wait_until(lambda: not is_held(file))
    assert list(read_results(invocation)) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_the_tools_exit_code_comes_back(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--cases", "nobody")

    assert ApptainerRunner().run(invocation) == 2
    assert log_has(invocation, "tiny has no case 'nobody'")


@pytest.mark.parametrize(("setting", "option"), [(None, "--nv"), ("--rocm", "--rocm"), ("", None)])
def test_gpus_are_chosen_by_variables_and_shown_by_an_option(
    setting: str | None, option: str | None, built: Tool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if setting is not None:
        monkeypatch.setenv("COORDINATOR_APPTAINER_GPU", setting)
    invocation = replace(make_invocation(built, tiny, tmp_path / "run"), gpus=(1, 3))

    ApptainerRunner().run(invocation)

    words = shlex.split(invocation.log.read_text().splitlines()[0])
    assert read_probe_facts(invocation)["cuda"] == "1,3"
    assert [word for word in words if word in {"--nv", "--rocm"}] == ([option] if option else [])


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for SIF files in which there are none yet."""
    monkeypatch.setenv("COORDINATOR_SIFS", str(tmp_path / "sifs"))
    return tmp_path / "sifs"


def test_a_sif_file_is_made_again_only_when_the_sources_change(built: Tool):
    code_id = ApptainerRunner().code_id(built)
    ApptainerRunner().build(built)
    assert ApptainerRunner().code_id(built) == code_id

    settings = built.folder / "settings.py"
    code = settings.read_text()
    settings.write_text(f"{code}\n# another word\n")
    try:
        with pytest.raises(UsageError, match="is of other sources; run `coordinator tool build --runtime apptainer"):
            ApptainerRunner().code_id(built)
    finally:
        settings.write_text(code)


def test_a_copied_sif_file_is_as_good_as_one_that_was_made_here(built: Tool, elsewhere: Path):
    with pytest.raises(UsageError, match="not built: run `coordinator tool build --runtime apptainer probe`, or copy"):
        ApptainerRunner().code_id(built)
    original = built.folder.parents[1] / ".sifs/probe.sif"
    elsewhere.mkdir()
    shutil.copy(original, elsewhere)

    assert (
        ApptainerRunner().code_id(built) == f"sha256:{json.loads(original.with_suffix('.json').read_text())['sha256']}"
    )


@pytest.mark.parametrize(
    "record", [b"", b"{}", b"[1]", b'{"sha256": "0", "size": "many", "modified_ns": 0, "sources": ""}']
)
def test_a_damaged_record_of_a_sif_file_is_made_again(record: bytes, built: Tool):
    code_id, file = ApptainerRunner().code_id(built), sifs.sif_file(built).with_suffix(".json")
    file.write_bytes(record)

    assert ApptainerRunner().code_id(built) == code_id
    assert json.loads(file.read_text())["sha256"] == code_id.removeprefix("sha256:")


def test_what_is_no_sif_file_is_refused(built: Tool, elsewhere: Path):
    elsewhere.mkdir()
    (elsewhere / "probe.sif").write_bytes(b"<html>404</html>")

    with pytest.raises(UsageError, match=r"probe\.sif: must be a SIF file that Apptainer can read, but: .*; remove it"):
        ApptainerRunner().code_id(built)


@pytest.mark.long
def test_a_sif_file_is_made_of_an_archive_that_docker_wrote(built: Tool, elsewhere: Path, tmp_path: Path):
    missing = ["build", "probe", "--runtime", "apptainer", "--images", str(tmp_path)]
    os.environ["COORDINATOR_TOOLS"] = str(built.folder.parent)
    try:
        with pytest.raises(UsageError, match=rf"`docker save --output probe\.tar {image_name(built)}`"):
            CliRunner().invoke(tool_command, missing, standalone_mode=False, catch_exceptions=False)
        subprocess.run(["docker", "save", "--output", tmp_path / "probe.tar", image_name(built)], check=True)
        done = CliRunner().invoke(tool_command, missing, standalone_mode=False, catch_exceptions=False)
    finally:
        del os.environ["COORDINATOR_TOOLS"]

    assert "probe (apptainer): built, sha256:" in done.stdout
    assert not list(elsewhere.glob(".*"))


def test_without_apptainer_the_message_says_what_to_do(
    built: Tool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COORDINATOR_APPTAINER", "no-such-program")

    with pytest.raises(UsageError, match="no-such-program: Apptainer must be on the path, but is not; load its module"):
        ApptainerRunner().run(make_invocation(built, tiny, tmp_path / "run"))
