"""`coordinator tool new`: the folder of a new tool, complete and running, with a threshold where a method goes."""

import re
import shutil
from pathlib import Path

import jinja2

from contract import atomic
from contract.datasets import refuse_dataset_folder
from contract.errors import UsageError
from coordinator.tools.finding import CHECKOUT

TEMPLATES = Path(__file__).with_name("templates") / "tool"
LIBRARY = "contract"
MANIFEST = "manifest.yaml"
SHARED = ("Dockerfile", ".dockerignore")
"""What images of all tools of a folder are built with."""


def write_tool(name: str, folder: Path) -> Path:
    """Make a tool's folder.

    Args:
        name: of the tool.
        folder: of tool folders, with the contract library in it; it gets the Dockerfile of all tools if it has none.

    Returns:
        The folder that was made.

    Raises:
        UsageError: a name that no tool can have, a folder that exists or lies in a dataset, or a place without the
            contract library.
    """
    if not re.fullmatch("[a-z][a-z0-9]*", name):
        raise UsageError(f"{name}: a tool's name must be lower-case letters and digits, and begin with a letter")
    if not (folder / LIBRARY).is_dir():
        raise UsageError(f"{folder / LIBRARY}: contract library must lie beside tools, but does not; name its folder")
    target = folder / name
    refuse_dataset_folder(target)
    try:
        target.mkdir()
    except FileExistsError:
        raise UsageError(f"{target}: must not exist yet, but does; choose another name, or remove it") from None
    for file in SHARED:
        if (CHECKOUT / file).exists() and not (folder / file).exists():
            shutil.copyfile(CHECKOUT / file, folder / file)
    files = render_tool(name)
    # The manifest comes last: with it, a folder is a tool.
    for file in sorted(files, key=lambda file: file == MANIFEST):
        atomic.write_text(target / file, files[file])
    return target


def render_tool(name: str) -> dict[str, str]:
    """File -> text of a new tool."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - none of it is HTML
    )  # fmt: skip
    locked = (TEMPLATES / "requirements.lock").read_text(encoding="utf-8")
    values = {"name": name, "numpy": dict(re.findall(r"^([\w-]+)==(\S+)", locked, re.MULTILINE))["numpy"]}
    return {
        template.removesuffix(".j2"): environment.get_template(template).render(values)
        for template in environment.list_templates()
    }
