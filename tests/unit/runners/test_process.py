"""Tools in virtual environments of their own: the probe, really built and really started."""

import fcntl
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import pytest
from helpers.hashes import break_hashes, read_lock_lines, write_wheel
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
from coordinator.runners.process import ProcessRunner
from coordinator.tools.finding import Tool

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.venvs


@pytest.fixture(scope="session")
def built(probe: Tool) -> Tool:
    """The probe with its environment."""
    uv = ROOT / ".venvs/uv/bin"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(uv), prepend=os.pathsep)
        ProcessRunner().build(probe)
    return probe


def test_a_tool_sees_its_dataset_without_labels_and_nothing_of_the_caller(
    built: Tool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("TOOL_THRESHOLD", "99999")
    invocation = make_invocation(built, tiny, tmp_path / "run")

    code = ProcessRunner().run(invocation)

    assert code == 0
    assert list(read_results(invocation)) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    facts = read_probe_facts(invocation)
    assert (facts["data"], facts["datasets"]) == (["dataset.yaml", "images"], ["tiny"])
    assert (facts["pythonpath"], facts["cuda"], facts["threads"]) == (None, "", "1")
    label, image = (nib.load(p) for p in (invocation.out / "tiny/probe-bone/a.nii.gz", tiny / "tiny/images/a.nii.gz"))
    assert ((label.get_fdata() == 1) == (image.get_fdata() > 200)).all()


def test_labels_inputs_and_leased_gpus_are_shown_where_they_are_given(built: Tool, tiny: Path, tmp_path: Path):
    (tmp_path / "earlier").mkdir()
    invocation = replace(
        show_labels(make_invocation(built, tiny, tmp_path / "run")), inputs={"store": tmp_path / "earlier"}, gpus=(2, 3)
    )

    ProcessRunner().run(invocation)

    facts = read_probe_facts(invocation)
    assert facts["data"] == ["dataset.yaml", "images", "labels"]
    assert (facts["inputs"], facts["cuda"]) == (["store"], "2,3")


def test_messages_are_the_same_wherever_it_runs(built: Tool, tiny: Path, tmp_path: Path):
    data = tmp_path / "data/tiny"
    (data / "images").mkdir(parents=True)
    (data / "dataset.yaml").write_text("name: tiny\n")
    (data / "images/broken.nii.gz").write_bytes(b"")
    invocations = [make_invocation(built, tmp_path / "data", tmp_path / name) for name in ("one", "two")]

    codes = [ProcessRunner().run(invocation) for invocation in invocations]

    assert codes == [3, 3]
    one, two = [(invocation.out / "tiny/probe-bone/status.jsonl").read_text() for invocation in invocations]
    assert one == two
    assert '"reason": "data/tiny/images/broken.nii.gz: ' in one


def test_sigterm_is_passed_to_the_tool_and_only_whole_files_stay(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--pause-s", "1.5")
    stop_in_the_middle("process", invocation, 20)


def test_an_orphaned_tool_holds_the_lock_of_its_step(built: Tool, tiny: Path, tmp_path: Path):
    with (tmp_path / "lock").open("w") as lock, (tmp_path / "lock").open("w") as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        invocation = replace(
            make_invocation(built, tiny, tmp_path / "run", "--pause-s", "0.4"), held_files=(lock.fileno(),)
        )
        with start_runner("process", invocation) as runner:
            wait_until(lambda: log_has(invocation, "working on a"))
            runner.kill()
        lock.close()

        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX)

    assert list(read_results(invocation)) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_the_tools_exit_code_comes_back(built: Tool, tiny: Path, tmp_path: Path):
    invocation = make_invocation(built, tiny, tmp_path / "run", "--cases", "nobody")

    assert ProcessRunner().run(invocation) == 2
    assert log_has(invocation, "tiny has no case 'nobody'")


def test_a_second_build_does_nothing_at_once(built: Tool):
    before = (ProcessRunner().venv(built) / "built-from").stat().st_mtime_ns
    start = time.monotonic()

    ProcessRunner().build(built)

    assert time.monotonic() - start < 0.1
    assert (ProcessRunner().venv(built) / "built-from").stat().st_mtime_ns == before


def test_an_unfinished_or_outdated_environment_counts_as_not_built(built: Tool):
    stamp = ProcessRunner().venv(built) / "built-from"
    content = stamp.read_text()
    stamp.write_text("something older")
    try:
        with pytest.raises(UsageError, match="coordinator tool build --runtime process probe"):
            ProcessRunner().code_id(built)
    finally:
        stamp.write_text(content)


def test_the_code_id_follows_the_tools_code_and_nothing_else(built: Tool):
    code_id = ProcessRunner().code_id(built)
    readme, settings = built.folder / "README.md", built.folder / "settings.py"

    readme.write_text("Another word.\n")
    assert ProcessRunner().code_id(built) == code_id
    code = settings.read_text()
    settings.write_text(f"{code}\n# another word\n")
    try:
        assert ProcessRunner().code_id(built) != code_id
    finally:
        settings.write_text(code)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{ROOT}/.venvs/uv/bin:/usr/bin:/bin", r"Hash mismatch for `annotated-types==0\.8\.0`"),
        ("/usr/bin:/bin", r"DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE[^$]*annotated-types==0\.8\.0 from "),
    ],
    ids=["uv", "pip"],
)
def test_packages_with_another_hash_are_not_installed(
    path: str, message: str, probe: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.setenv("COORDINATOR_VENVS", str(tmp_path / "venvs"))
    monkeypatch.setenv("PATH", path)
    folder = shutil.copytree(probe.folder.parent, tmp_path / "containers") / "probe"
    break_hashes(folder / "requirements.lock", "annotated-types")
    tool = Tool(folder, probe.manifest)

    with pytest.raises(UsageError, match="environment must build, but: .*; the reason is printed above"):
        ProcessRunner().build(tool)

    assert re.search(message, capfd.readouterr().err)
    with pytest.raises(UsageError, match="not built from the requirements as they are now"):
        ProcessRunner().code_id(tool)


@pytest.mark.parametrize(("wheels", "build"), [(True, "torch-2.13.0+cpu"), (False, "tabulate-0.10.0")])
def test_torchs_cpu_build_is_installed_where_pip_is_given_a_folder_that_has_it(
    wheels: bool, build: str, probe: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = shutil.copytree(probe.folder.parent, tmp_path / "containers") / "probe"
    (tmp_path / "wheels").mkdir()
    (folder / "requirements.lock").write_text("", encoding="utf-8")
    (folder / "requirements-cpu.lock").write_text(
        write_wheel(tmp_path / "wheels", "torch", "2.13.0+cpu"), encoding="utf-8"
    )
    # Stands for the CUDA build.
    (folder / "requirements-cuda.lock").write_text(read_lock_lines("tabulate"), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{ROOT}/.venvs/uv/bin:/usr/bin:/bin")
    monkeypatch.setenv("COORDINATOR_VENVS", str(tmp_path / "venvs"))
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels") if wheels else "")

    ProcessRunner().build(Tool(folder, probe.manifest))

    installed = [path.stem for path in (tmp_path / "venvs/probe/lib").rglob("*.dist-info")]
    assert sorted(installed) == ["label_quality_contract-0.1.0", build]


@pytest.mark.long
def test_without_uv_the_standard_library_makes_the_environment(
    probe: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COORDINATOR_VENVS", str(tmp_path / "venvs"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (probe.folder / "requirements.lock").rename(tmp_path / "kept.lock")
    (probe.folder / "requirements.lock").write_text("")
    try:
        ProcessRunner().build(probe)
        assert (tmp_path / "venvs/probe/lib").is_dir()
        assert ProcessRunner().code_id(probe)
    finally:
        (tmp_path / "kept.lock").rename(probe.folder / "requirements.lock")
