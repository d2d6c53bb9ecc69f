"""The documentation says what is: keys and defaults, commands and options, links, files, and examples that are read."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import click
import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.manifest import Manifest
from coordinator.cli.main import commands
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.runners.kubernetes.profile import KubernetesProfile
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.study.file import StudyFile, load_study
from coordinator.study.generators import GeneratorEntry
from coordinator.tools.finding import Tool, find_tools

ROOT = Path(__file__).resolve().parents[3]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
PAGES = sorted(file for file in TRACKED if file.endswith(".md") and not file.startswith("tests/"))
DOCS = [page for page in PAGES if page.startswith("docs/")]
FOLDERS = {str(parent) for file in TRACKED for parent in Path(file).parents}
EXAMPLE_TOOLS = ("containers/threshold", "containers/mytool")
"""Tools that pages make before the reader's eyes."""
SECTIONS = MappingProxyType(
    {"## Top level": StudyFile, "## `generators`": GeneratorEntry}
    | {
        f"## `{key}`": model
        for key, field in StudyFile.model_fields.items()
        for model in (field.annotation, *get_args(field.annotation))
        if isinstance(model, type) and issubclass(model, BaseModel)
    }
)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def table(text: str) -> dict[str, str]:
    """First column -> second column of a section's first table whose keys stand in backticks."""
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+?) \|", text.split("\n## ")[0], re.MULTILINE)
    return {key: default.strip("`") for key, default in rows}


def shown_default(field: FieldInfo) -> str:
    """A default as YAML has it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        value = list(value)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_of_the_study_file_has_every_key_with_its_default(heading: str):
    section = text_of("docs/reference/study-file.md").split(f"\n{heading}\n")[1]

    assert table(section) == {key: shown_default(field) for key, field in SECTIONS[heading].model_fields.items()}


def test_the_page_of_the_dataset_folder_has_every_key_with_its_default():
    section = text_of("docs/reference/dataset-folder.md").split("\n## `dataset.yaml`\n")[1]

    assert table(section) == {key: shown_default(field) for key, field in DatasetDescription.model_fields.items()}


@pytest.mark.parametrize("profile", [SlurmProfile, KubernetesProfile])
def test_the_page_of_a_cluster_has_every_key_of_its_site_profile_with_its_default(profile: type[BaseModel]):
    page = profile.__name__.removesuffix("Profile").lower()
    section = text_of(f"docs/how-to/{page}.md").split("\n## The site profile\n")[1].partition("\n## ")[0]

    assert table(section) == {key: shown_default(field) for key, field in profile.model_fields.items()}


def test_the_tool_contract_names_every_key_of_the_manifest():
    section = text_of("docs/reference/tool-contract.md").split("\n## The manifest\n")[1]
    keys = {key for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}

    assert keys == set(Manifest.model_fields)


def test_the_page_of_scoring_has_every_convention_with_its_tolerance():
    rows = re.findall(r"^\| `(\w+)` \|.*?\| ([^|]*) \| [^|]* \|$", text_of("docs/reference/scoring.md"), re.MULTILINE)

    tolerances = {c.name: "2 to 7, by organ" if c.of_organ_mm else f"{c.tolerance_mm:g}" for c in CONVENTIONS.values()}
    assert dict(rows) == tolerances


def all_commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(all_commands(commands))


def shown_options(command: str) -> dict[str, str]:
    """Option -> default in backticks, or nothing: of the table below a command's heading, or whose head names it."""
    page = text_of("docs/reference/command-line.md")
    if " " in command:
        tables = re.findall(rf"^\| option of [^|]*`{command}`.*?\n\n", page, re.DOTALL | re.MULTILINE)
    else:
        tables = re.findall(rf"^### `{command}`\n.*?^##", page, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^\| `(--[\w-]+)` \| (?:`([^`|]+)`|[^|]*) ?\|", "".join(tables), re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_the_command_line_has_every_command_and_option(name: str):
    options = {p.opts[-1]: p.default for p in COMMANDS[name].params if isinstance(p, click.Option)}
    shown = shown_options(name)

    assert f"coordinator {name}" in text_of("docs/reference/command-line.md")
    assert set(shown) == set(options)
    assert {option: default for option, default in shown.items() if default not in ("", str(options[option]))} == {}


def test_the_page_of_the_command_line_has_every_task_of_make():
    tasks = re.findall(r"^([.a-z-]+):.*## ", text_of("Makefile"), re.MULTILINE)
    named = re.findall(r"`make ([.a-z-]+)`", text_of("docs/reference/command-line.md"))

    assert set(tasks) - {"help"} <= set(named)
    assert set(named) <= set(tasks)


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What `#…` may follow a link to a page: its headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_of_the_repository(page: str):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str):
    top = {file.partition("/")[0] for file in TRACKED if "/" in file}
    named = {name.rstrip("/") for name in re.findall(r"`([\w.-]+/[\w./-]+)`", prose(page)) if name.split("/")[0] in top}

    assert [n for n in sorted(named - {*TRACKED, *FOLDERS}) if not n.startswith(EXAMPLE_TOOLS)] == []


def test_the_index_names_every_page():
    linked = re.findall(r"\]\(([^)#\s]+)\)", text_of("docs/README.md"))

    assert {str(Path(page).relative_to("docs")) for page in DOCS} - {"README.md"} <= set(linked)


def yaml_blocks() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE):
            yield page, block


def is_study(block: str) -> bool:
    return "datasets" in yaml.safe_load(block)


def is_dataset(block: str) -> bool:
    content = yaml.safe_load(block)
    return "labels" in content and "name" in content


@pytest.fixture(scope="module")
def tools() -> dict[str, Tool]:
    return find_tools(ROOT / "containers")


@pytest.mark.parametrize("page", sorted({page for page, block in yaml_blocks() if is_study(block)}))
def test_every_study_file_that_is_shown_is_read(page: str, tools: dict[str, Tool], tmp_path: Path):
    file = tmp_path / "study.yaml"
    for block in (block for where, block in yaml_blocks() if where == page and is_study(block)):
        file.write_text(block, encoding="utf-8")

        assert load_study(file, tools).name


@pytest.mark.parametrize("page", sorted({page for page, block in yaml_blocks() if is_dataset(block)}))
def test_every_dataset_description_that_is_shown_is_read(page: str, tmp_path: Path):
    file = tmp_path / "dataset.yaml"
    for block in (block for where, block in yaml_blocks() if where == page and is_dataset(block)):
        file.write_text(block, encoding="utf-8")

        assert yamlfiles.load(file, DatasetDescription).labels


def test_pages_show_study_files_and_dataset_descriptions():
    assert any(is_study(block) for _, block in yaml_blocks())
    assert any(is_dataset(block) for _, block in yaml_blocks())
