"""Lists the weights that each variant of a tool needs, and compares them with what is published or recorded.

    WEIGHTS/<tool>/<file>          a file, or a folder where upstream publishes an archive
    WEIGHTS/<tool>/SHA256SUMS      sha256 of every fetched file

`contract.weights` checks the weights before a tool runs; `fetch` fetches them.
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

Verification = Literal["ok", "differs", "missing", "unknown", "in package"]


@dataclass(frozen=True, slots=True)
class WeightsItem:
    """Weights that a manifest lists: one file or folder.

    Attributes:
        tool: name of the tool.
        variants: variants that need it.
        entry: its entry in the manifest.
    """

    tool: str
    variants: tuple[str, ...]
    entry: Weights

    @property
    def name(self) -> str:
        """Its path relative to the weights folder, which is also its name in messages."""
        return f"{self.tool}/{self.entry.file}"

    @property
    def fetch_name(self) -> str:
        """The argument of `coordinator weights fetch` that fetches it."""
        return f"{self.tool}-{self.variants[0]}"

    def path(self, root: Path) -> Path:
        """Its path, whether it is there or not; only for weights that don't come with a package."""
        return root / self.tool / self.entry.file

    def is_present(self, root: Path) -> bool:
        """Whether a file, or a folder for an archive, has this name."""
        return self.path(root).is_dir() if self.entry.archive else self.path(root).is_file()

    @property
    def published_sums(self) -> dict[str, str]:
        """File -> published sha256; empty where none is published, or only that of the archive."""
        return {} if self.entry.archive or not self.entry.sha256 else {self.entry.file: self.entry.sha256}

    def recorded_sums(self, root: Path) -> dict[str, str]:
        """File -> sha256 in SHA256SUMS, several for a folder; empty where nothing is recorded."""
        sums = read_sums(root / self.tool)
        return {file: sum_ for file, sum_ in sums.items() if self.owns(file)}

    def owns(self, file: str) -> bool:
        """Whether a file of SHA256SUMS belongs to it."""
        return file.startswith(f"{self.entry.file}/") if self.entry.archive else file == self.entry.file

    def compute_sums(self, path: Path) -> dict[str, str]:
        """File -> sha256 as for SHA256SUMS, read from its own or a hidden path."""
        if not self.entry.archive:
            return {self.entry.file: file_sha256(path)}
        return {f"{self.entry.file}/{f.relative_to(path).as_posix()}": file_sha256(f) for f in list_files(path)}


def list_weights(tools: Mapping[str, Tool]) -> list[WeightsItem]:
    """List all weights of the tools, in the order of their manifests."""
    return [item for tool in tools.values() for item in _list_variants(tool, tool.manifest.variants)]


def select_weights(tools: Mapping[str, Tool], names: Iterable[str]) -> list[WeightsItem]:
    """List the weights of some tools.

    Args:
        tools: name -> tool.
        names: as a study names generators: TOOL for its default variant, or TOOL-VARIANT.

    Raises:
        UsageError: a tool or variant does not exist.
    """
    items: dict[str, WeightsItem] = {}
    for name in names:
        tool_name, _, variant = name.partition("-")
        if tool_name not in tools:
            raise UsageError(f"there is no tool {tool_name!r}; {did_you_mean(tool_name, tools)}")
        tool = tools[tool_name]
        try:
            tool.manifest.variant(variant or tool.manifest.default_variant)
        except ValueError as error:
            raise UsageError(str(error)) from None
        items |= {item.name: item for item in _list_variants(tool, [variant or tool.manifest.default_variant])}
    return list(items.values())


def sha256_source(item: WeightsItem, root: Path) -> Literal["published", "recorded", "unknown"]:
    """Where the required sha256 of weights comes from."""
    if item.entry.sha256:
        return "published"
    return "recorded" if item.recorded_sums(root) else "unknown"


def presence(item: WeightsItem, root: Path) -> str:
    """Whether weights are there, in one or two words, without reading them."""
    if item.entry.package:
        return "in package"
    if not item.is_present(root):
        return "no"
    return "yes" if item.recorded_sums(root) else "not recorded"


def verify(item: WeightsItem, root: Path) -> tuple[Verification, str]:
    """Read weights and compare them with the published or recorded sha256.

    Returns:
        The result, and an explanation.
    """
    if item.entry.package:
        return "in package", f"{item.entry.package}; the tool checks it when it starts"
    if not item.is_present(root):
        return "missing", f"`coordinator weights fetch {item.fetch_name}` gets it"
    expected = item.published_sums or item.recorded_sums(root)
    if not expected:
        return "unknown", f"nothing is recorded in {SUMS}; `coordinator weights fetch {item.fetch_name}` records it"
    wrong = describe_difference(expected, item.compute_sums(item.path(root)))
    if wrong:
        return "differs", f"{wrong}; remove it, then `coordinator weights fetch {item.fetch_name}`"
    return "ok", "as published" if item.published_sums else "as recorded"


def describe_difference(expected: Mapping[str, str], actual: Mapping[str, str]) -> str:
    """Describe the first file that differs; empty where none does."""
    for file in sorted({*expected, *actual}):
        if file not in actual:
            return f"{file} is missing"
        if file not in expected:
            return f"{file} is not listed"
        if expected[file] != actual[file]:
            return f"{file} must have sha256 {expected[file]}, but has {actual[file]}"
    return ""


def _list_variants(tool: Tool, variants: Iterable[str]) -> list[WeightsItem]:
    """List the weights of some variants; weights that several variants share come once."""
    items: dict[str, WeightsItem] = {}
    for variant in variants:
        for entry in tool.manifest.variants[variant].weights:
            earlier_variants = items[entry.file].variants if entry.file in items else ()
            items[entry.file] = WeightsItem(tool.name, (*earlier_variants, variant), entry)
    return list(items.values())
