"""Lists the weights that each variant of a tool needs, and compares them with what is published or recorded.

    WEIGHTS/<tool>/<file>          a file, or a folder where upstream publishes an archive
    WEIGHTS/<tool>/SHA256SUMS      sha256 of every fetched file

`contract.weights` checks the weights before a tool runs; `fetch` fetches them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contract.errors import CaseError, UsageError
from contract.records import file_sha256
from contract.weightentries import Weights
from contract.weights import describe_state, list_files, read_sums
from contract.yamlfiles import did_you_mean
from coordinator.tools.finding import Tool
from coordinator.weights.formats import check_format, is_known

SIZE_TOLERANCE = 0.1
"""Relative difference allowed between a file's size and the manifest's rounded size."""
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
    """Whether weights are there, in a few words, without reading them."""
    if item.entry.package:
        return "in package"
    if not item.is_present(root):
        state = describe_state(item.entry, item.path(root))
        return "no" if state == "are not" else f"no, {_shorten(state)}"
    return "yes" if item.recorded_sums(root) else "by hand, not recorded"


def _shorten(state: str) -> str:
    return state.removeprefix("are ")


def verify(item: WeightsItem, root: Path) -> tuple[Verification, str]:
    """Read weights and compare them with the published or recorded sha256.

    Returns:
        The result, and an explanation.
    """
    if item.entry.package:
        return "in package", f"{item.entry.package}; the tool checks it when it starts"
    fetch = f"`coordinator weights fetch {item.fetch_name}`"
    if not item.is_present(root):
        state = describe_state(item.entry, item.path(root))
        return (
            "missing",
            f"{fetch} gets it" if state == "are not" else f"{_shorten(state)}; {fetch} puts them into place",
        )
    expected = item.published_sums or item.recorded_sums(root)
    if not expected:
        return _judge_unrecorded(item, root, fetch)
    wrong = describe_difference(expected, item.compute_sums(item.path(root)))
    if wrong:
        return "differs", f"{wrong}; remove it, then `coordinator weights fetch {item.fetch_name}`"
    return "ok", "as published" if item.published_sums else "as recorded"


def _judge_unrecorded(item: WeightsItem, root: Path, fetch: str) -> tuple[Verification, str]:
    """Check weights that a person put there as far as that is possible: by size and format."""
    try:
        check_contents(item, item.path(root))
    except CaseError as error:
        return "differs", f"{error}; remove it, then {fetch}"
    return (
        "unknown",
        f"put there by hand: size and format may be right, no sha256 to check; {fetch} records it",
    )


def check_contents(item: WeightsItem, path: Path) -> None:
    """Check weights as far as that is possible without a sha256: size, names of files, what the files look like.

    Args:
        item: the weights.
        path: where they lie, which may be a hidden name.

    Raises:
        CaseError: something is wrong.
    """
    if not item.entry.archive:
        check_size(item, path.stat().st_size)
        check_format(path, item.name)
        return
    files = list_files(path)
    if not files:
        raise CaseError(f"{path}: must hold files, but is empty")
    for file in files:
        name = f"{item.name}/{file.relative_to(path)}"
        if not name.isprintable():
            raise CaseError(f"{path}: names of weights must be printable, but one is {name!r}")
        if is_known(name):
            check_format(file, name)


def check_size(item: WeightsItem, size: int) -> None:
    """Refuse a file of another size: a login page, a stub, another file.

    Raises:
        CaseError: the size differs from the manifest's by more than rounding explains.
    """
    published = item.entry.size_mb
    if published is not None and abs(size / 1e6 - published) > size_tolerance_mb(published):
        raise CaseError(f"{item.name}: must have about {published:g} MB, but has {size / 1e6:.3g} MB")


def size_tolerance_mb(published_mb: float) -> float:
    """How much a file's size may differ from the manifest's rounded size."""
    return max(SIZE_TOLERANCE * published_mb, 0.1)


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
