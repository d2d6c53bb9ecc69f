"""`coordinator tool`, called as click calls it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.added import ID, OTHER_ID, make_added

from contract.errors import ExitCode, UsageError
from coordinator.cli.tool import tool
from coordinator.tools.added import keep_added
from coordinator.tools.finding import Tool


@pytest.fixture(autouse=True)
def _tools(probe: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of tools with the probe alone, without a Docker engine and without built environments."""
    shutil.copytree(probe.folder.parent, tmp_path / "containers")
    monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "containers"))
    monkeypatch.setenv("COORDINATOR_VENVS", str(tmp_path / "venvs"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("COLUMNS", "200")


def call(*arguments: str) -> str:
    return CliRunner().invoke(tool, arguments, standalone_mode=False, catch_exceptions=False).output


def test_list_shows_each_tool_and_works_without_an_engine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COORDINATOR_APPTAINER", "no-such-program")

    output = call("list")

    (row,) = (line for line in output.splitlines() if "probe" in line)
    assert re.split(r"\s{2,}", row.strip()) == [
        "probe", "generator", "bone", "-", "none", "Apache-2.0", "no engine", "not here", "no",
    ]  # fmt: skip


def test_list_shows_each_added_image_with_its_digest_and_what_was_checked(tmp_path: Path):
    keep_added(tmp_path / "tools", make_added())
    keep_added(tmp_path / "tools", make_added("lab/other:2", id=OTHER_ID, checks={}, skip_check=True))

    lines = call("list", "--tools", str(tmp_path / "tools")).splitlines()

    assert lines[-5:] == [
        "lab/other:2: brightness 2.0.0 (v1, v2); not checked",
        f'  in a study, as it was on 2026-03-01:  tool: "image:lab/other@{OTHER_ID}"',
        "",
        "lab/seg:1: brightness 2.0.0 (v1, v2); checked: v1",
        f'  in a study, as it was on 2026-03-01:  tool: "image:lab/seg@{ID}"',
    ]


@pytest.mark.parametrize("name", ["lab/seg:1", "image:lab/seg:1"])
def test_remove_forgets_an_added_image(name: str, tmp_path: Path):
    keep_added(tmp_path / "tools", make_added())

    assert (
        call("remove", name, "--tools", str(tmp_path / "tools"))
        == f"{tmp_path}/tools/lab%2Fseg%3A1.tool.json: removed\n"
    )
    assert not list((tmp_path / "tools").iterdir())


def test_add_without_an_engine_says_what_to_do_and_keeps_nothing(tmp_path: Path):
    with pytest.raises(UsageError, match="a Docker engine must answer"):
        call("add", "lab/seg:1", "--tools", str(tmp_path / "tools"))

    assert not (tmp_path / "tools").exists()


def test_add_does_not_take_a_variant_that_it_would_not_check(tmp_path: Path):
    with pytest.raises(UsageError, match="--variant v1: names what to check, but --skip-check checks nothing"):
        call("add", "lab/seg:1", "--variant", "v1", "--skip-check", "--tools", str(tmp_path / "tools"))


def test_check_of_a_folder_finds_nothing_wrong_with_a_sound_one():
    output = call("check", "probe", "--only", "folder")

    assert re.search(r"yes +folder +files, manifest and Dockerfile are as they must be \(22 rules\)", output)


def test_check_takes_a_folder_and_says_what_is_wrong(tmp_path: Path):
    folder = tmp_path / "containers/probe"
    (folder / "README.md").unlink()
    (folder / "manifest.yaml").write_text("contract: 1\n")

    done = CliRunner().invoke(tool, ["check", str(folder)], standalone_mode=False)

    assert done.return_value == ExitCode.CASES_FAILED
    assert re.search(r"no +folder +README.md is there +missing: every tool has one", done.stdout)
    assert re.search(r"no +folder +manifest.yaml is sound .*problems", done.stdout)
    assert "20 of 22 rules hold or say nothing" in done.stderr


def test_check_of_a_tool_that_is_not_built_says_how_to_build_it():
    done = CliRunner().invoke(tool, ["check", "probe"], standalone_mode=False)

    assert done.return_value == ExitCode.CASES_FAILED
    assert "is not; run `coordinator tool build probe`, or with `--runtime apptainer` or" in done.stdout


def test_check_prints_json():
    done = CliRunner().invoke(tool, ["check", "probe", "--json"], standalone_mode=False)

    folder, run = json.loads(done.stdout).values()
    assert [finding["holds"] for finding in folder] == [True] * 22
    assert [(finding["rule"], finding["holds"]) for finding in run] == [("built", False)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("probe", "--only", "grit"), r"--only: there is no rule 'grit'; did you mean `grid`\?"),
        (("probe", "--runtime", "process"), r"probe: not built from the requirements as they are now"),
        (("probe", "--runtime", "docker"), "a Docker engine must answer"),
        (("prob",), r"prob: must be a tool, a folder or an image .* did you mean `probe`\? Images were not looked for"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments: tuple[str, ...], message: str):
    with pytest.raises(UsageError, match=message):
        call("check", *arguments)


def test_new_makes_a_folder_and_says_what_to_do_next(tmp_path: Path):
    output = call("new", "threshold")

    assert (tmp_path / "containers/threshold/manifest.yaml").is_file()
    assert "coordinator tool check threshold" in output


def test_compose_writes_both_files(tmp_path: Path):
    output = call("compose")

    assert output.split() == [f"{tmp_path}/compose.yaml", f"{tmp_path}/compose.gpu.yaml"]
    assert "label-quality/probe:0.1.0" in (tmp_path / "compose.yaml").read_text()


def test_build_without_an_engine_says_what_to_do():
    with pytest.raises(UsageError, match=r"a Docker engine must answer at unix://.*, but: .*use the runtime `process`"):
        call("build", "probe")
