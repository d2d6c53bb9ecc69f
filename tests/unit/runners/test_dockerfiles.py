"""Rules that hold for every Dockerfile; a new tool is covered unasked."""

from pathlib import Path

import pytest

from coordinator.conformance.toolcheck import check_dockerfile
from coordinator.runners.docker import build_arguments
from coordinator.tools.finding import Tool

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted([*ROOT.glob("containers/*/Dockerfile"), *ROOT.glob("tests/tools/*/Dockerfile")])


def code(file: Path) -> str:
    """The text without comments, and without the tool's name."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#")).replace(f"TOOL={file.parent.name}", "TOOL=")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_dockerfiles_differ_in_the_tools_name_alone(file: Path):
    assert code(file) == code(DOCKERFILES[0])
    assert f"ARG TOOL={file.parent.name}\n" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
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
def test_a_dockerfile_that_breaks_a_rule_is_found(old: str, new: str, rule: str, tmp_path: Path, probe: Tool):
    text = (probe.folder / "Dockerfile").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "Dockerfile").write_text(text.replace(old, new), encoding="utf-8")

    broken = [finding.what for finding in check_dockerfile(tmp_path / "Dockerfile") if finding.problem]

    assert broken == [f"Dockerfile: {rule}"]


def test_every_build_argument_is_one_of_the_dockerfile(probe: Tool):
    text = (probe.folder / "Dockerfile").read_text(encoding="utf-8")

    for name in [*build_arguments(probe), "BASE", "REVISION"]:
        assert f"\nARG {name}=" in text
