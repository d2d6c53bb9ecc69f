"""Trained weights from outside: what each variant of a tool needs, whether it is there, whether it is the right one.

    WEIGHTS/<tool>/<file>          a file, or a folder where upstream publishes an archive
    WEIGHTS/<tool>/SHA256SUMS      sha256 of all that was fetched

`contract.weights` says what must hold and checks it before a tool runs; `coordinator.weights_fetch` gets them here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contract.errors import UsageError
from contract.manifest import Weights
from contract.records import file_sha256
from contract.weights import SUMS, list_files, read_sums
from contract.yamlfiles import did_you_mean
from coordinator.tools.finding import Tool

Verdict = Literal["ok", "differs", "missing", "unknown", "in package"]


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of a manifest.

    Attributes:
        tool: whose manifest.
        variants: that need it.
        entry: the file or folder.
    """

    tool: str
    variants: tuple[str, ...]
    entry: Weights

    @property
    def name(self) -> str:
        """For people, and relative to the weights folder."""
        return f"{self.tool}/{self.entry.file}"

    @property
    def wish(self) -> str:
        """How `coordinator weights fetch` is asked for it."""
        return f"{self.tool}-{self.variants[0]}"

    def place(self, root: Path) -> Path:
        """Where it lies, or should; it must not come with a package."""
        return root / self.tool / self.entry.file

    def is_there(self, root: Path) -> bool:
        """Whether a file, or a folder, of this name is there."""
        return self.place(root).is_dir() if self.entry.archive else self.place(root).is_file()

    def recorded(self, root: Path) -> dict[str, str]:
        """What SHA256SUMS says of it: file -> sha256, several of a folder; empty where nothing is recorded."""
        sums = read_sums(root / self.tool)
        return {file: sum_ for file, sum_ in sums.items() if self.owns(file)}

    def owns(self, file: str) -> bool:
        """Whether a line of SHA256SUMS is about it."""
        return file.startswith(f"{self.entry.file}/") if self.entry.archive else file == self.entry.file

    def found(self, path: Path) -> dict[str, str]:
        """Read it at a path, its own or a hidden one: file of SHA256SUMS -> sha256."""
        if not self.entry.archive:
            return {self.entry.file: file_sha256(path)}
        return {f"{self.entry.file}/{f.relative_to(path).as_posix()}": file_sha256(f) for f in list_files(path)}


def all_items(tools: Mapping[str, Tool]) -> list[Item]:
    """All weights that tools need, in the order of their manifests."""
    return [item for tool in tools.values() for item in _items(tool, tool.manifest.variants)]


def wanted_items(tools: Mapping[str, Tool], names: Iterable[str]) -> list[Item]:
    """The weights of some tools.

    Args:
        tools: by name.
        names: as a study names generators: TOOL is its default variant, TOOL-VARIANT another one.

    Raises:
        UsageError: no tool or variant of a name.
    """
    items: dict[str, Item] = {}
    for name in names:
        tool_name, _, variant = name.partition("-")
        if tool_name not in tools:
            raise UsageError(f"there is no tool {tool_name!r}; {did_you_mean(tool_name, tools)}")
        tool = tools[tool_name]
        try:
            tool.manifest.variant(variant or tool.manifest.default_variant)
        except ValueError as error:
            raise UsageError(str(error)) from None
        items |= {item.name: item for item in _items(tool, [variant or tool.manifest.default_variant])}
    return list(items.values())


def sha256_is(item: Item, root: Path) -> Literal["published", "recorded", "unknown"]:
    """Where the sha256 that weights must have comes from."""
    if item.entry.sha256:
        return "published"
    return "recorded" if item.recorded(root) else "unknown"


def presence(item: Item, root: Path) -> str:
    """Whether weights are there, in a word or two, without reading them."""
    if item.entry.package:
        return "in package"
    if not item.is_there(root):
        return "no"
    return "yes" if item.recorded(root) else "not recorded"


def verify(item: Item, root: Path) -> tuple[Verdict, str]:
    """Read weights and compare them with what is published or recorded.

    Returns:
        The verdict, and what it is about.
    """
    if item.entry.package:
        return "in package", f"{item.entry.package}; the tool checks it when it starts"
    if not item.is_there(root):
        return "missing", f"`coordinator weights fetch {item.wish}` gets it"
    recorded = item.recorded(root)
    published = {} if item.entry.archive or not item.entry.sha256 else {item.entry.file: item.entry.sha256}
    expected = published or recorded
    if not expected:
        return "unknown", f"nothing is recorded in {SUMS}; `coordinator weights fetch {item.wish}` records it"
    wrong = difference(expected, item.found(item.place(root)))
    if wrong:
        return "differs", f"{wrong}; remove it, then `coordinator weights fetch {item.wish}`"
    return "ok", "as published" if published else "as recorded"


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first file that is not as it should be, in words; empty where all are."""
    for file in sorted({*expected, *found}):
        if file not in found:
            return f"{file} is missing"
        if file not in expected:
            return f"{file} is not listed"
        if expected[file] != found[file]:
            return f"{file} must have sha256 {expected[file]}, but has {found[file]}"
    return ""


def _items(tool: Tool, variants: Iterable[str]) -> list[Item]:
    """Weights of some variants; those that several variants share come once."""
    items: dict[str, Item] = {}
    for variant in variants:
        for entry in tool.manifest.variants[variant].weights:
            before = items[entry.file].variants if entry.file in items else ()
            items[entry.file] = Item(tool.name, (*before, variant), entry)
    return list(items.values())
