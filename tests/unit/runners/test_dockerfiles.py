"""The recipe of all images, and that of a tool that has its own; a new one is covered unasked."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import docker
import pytest

from contract.errors import UsageError
from coordinator.conformance.toolcheck import check_dockerfile, check_folder
from coordinator.runners.docker import build_arguments
from coordinator.runners.toolsources import dockerfile, image_digest, sources_digest
from coordinator.tools.finding import Tool

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT / "containers/Dockerfile"


@pytest.fixture
def tool(probe: Tool, tmp_path: Path) -> Tool:
    """A copy of the probe in a folder of tools of its own."""
    copy = shutil.copytree(probe.folder.parent, tmp_path / "containers")
    return Tool(copy / "probe", probe.manifest)


@pytest.mark.parametrize(
    "file", [SHARED, *sorted(ROOT.glob("containers/*/Dockerfile"))], ids=lambda file: file.parent.name
)
def test_dockerfiles_keep_the_rules(file: Path):
    findings = check_dockerfile(file)

    assert len(findings) == 14
    assert [finding for finding in findings if finding.problem] == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("USER 10001:10001", "USER root", "numeric user that is not root"),
        ("USER 10001:10001", "", "numeric user that is not root"),
        ("USER 10001:10001", "USER 0:0", "numeric user that is not root"),
        ('["/opt/venv/bin/python", "/app/tool.py"]', "python /app/tool.py", "entry point in exec form"),
        ("HOME=/tmp", "HOME=/root", "HOME is below /tmp"),
        ("COPY --from=build /app /app", "RUN apt-get install gcc", "nothing is installed in the last stage"),
        ("@sha256:", ":", "base image is an argument, pinned by digest"),
        ("org.opencontainers.image.licenses", "licenses", "image label licenses"),
        ("FROM ${BASE}\n", "FROM debian\n", "two stages, both from ${BASE}"),
    ],
)
def test_a_dockerfile_that_breaks_a_rule_is_found(old: str, new: str, rule: str, tmp_path: Path):
    text = SHARED.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "Dockerfile").write_text(text.replace(old, new), encoding="utf-8")

    broken = [finding.what for finding in check_dockerfile(tmp_path / "Dockerfile") if finding.problem]

    assert broken == [f"Dockerfile: {rule}"]


def test_every_build_argument_is_one_of_the_dockerfile(probe: Tool):
    text = SHARED.read_text(encoding="utf-8")

    for name in [*build_arguments(probe), "BASE", "REVISION"]:
        assert re.search(rf"^ARG {name}(=|$)", text, re.MULTILINE), name


def test_a_tool_is_built_from_its_own_dockerfile_where_it_has_one(tool: Tool):
    assert dockerfile(tool) == tool.folder.parent / "Dockerfile"

    own = Path(shutil.copy(SHARED, tool.folder))

    assert dockerfile(tool) == own


def test_a_tools_own_dockerfile_is_the_one_that_is_checked(tool: Tool):
    (tool.folder / "Dockerfile").write_text("FROM debian\n", encoding="utf-8")

    broken = {finding.what for finding in check_folder(tool.folder) if finding.problem}

    assert "Dockerfile: numeric user that is not root" in broken


def test_a_tool_without_a_dockerfile_says_where_to_get_one(tool: Tool):
    (tool.folder.parent / "Dockerfile").unlink()

    broken = [finding.what for finding in check_folder(tool.folder) if finding.problem]

    assert broken == ["Dockerfile is there"]
    with pytest.raises(UsageError, match="Dockerfile of all tools must lie beside the contract library, but does not"):
        dockerfile(tool)


def test_an_image_is_outdated_when_the_dockerfile_that_is_used_changes(tool: Tool):
    image, sources = image_digest(tool), sources_digest(tool)

    shared = tool.folder.parent / "Dockerfile"
    shared.write_text(shared.read_text(encoding="utf-8") + "# another word\n", encoding="utf-8")
    changed = image_digest(tool)
    shutil.copy(SHARED, tool.folder)

    assert changed != image
    assert image_digest(tool) == image
    assert sources_digest(tool) == sources


@pytest.mark.docker
def test_without_a_tool_nothing_is_built_and_the_message_says_what_to_do(engine: docker.DockerClient, base_image: str):
    command = ["docker", "build", f"--build-arg=BASE={base_image}", str(SHARED.parent)]

    done = subprocess.run(command, env=os.environ | {"DOCKER_BUILDKIT": "1"}, capture_output=True, text=True)

    assert done.returncode != 0
    assert "TOOL is missing; name a folder of tools with --build-arg TOOL=<folder>" in done.stderr
