"""The generators of a study: what an entry of the study file names, as a tool with a variant and all its options.

medsam-lite                                            a tool of ours, and one of its variants
{name: mine, tool: "image:lab/seg@sha256:…", …}        a foreign image, which `coordinator tool add` checked
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from contract.errors import UsageError
from contract.manifest import OptionValue
from contract.yamlfiles import Items, Line, Strict, did_you_mean
from contract.yamlnodes import show_text
from coordinator.study.entries import NAME
from coordinator.tools.added import PREFIX, AddedTool, find_added
from coordinator.tools.finding import Tool
from coordinator.tools.timelimit import within_seconds

OPTIONS_S = 10
"""For the options of a foreign image, whose patterns may take any time."""


class GeneratorEntry(Strict):
    """A generator with options; the short form is a name alone, `tool` or `tool-variant`."""

    name: str = Field(pattern=NAME, max_length=100, description="name of the label version")
    tool: Line = Field(description="name of a tool, or `image:` and the name of an image that was added")
    variant: Line | None = None
    options: dict[str, OptionValue] = Field(default_factory=dict)
    of: Items[Line] = Field(
        default=(), max_length=1000, description="label versions that it combines; only of a tool that does"
    )


@dataclass(frozen=True, slots=True)
class Generator:
    """What makes a label version: a tool, one of its variants, all its options.

    Attributes:
        of: the label versions that it combines; none for a tool that makes labels from images.
    """

    name: str
    tool: Tool
    variant: str
    options: dict[str, OptionValue]
    of: tuple[str, ...] = ()


def resolve_generator(entry: str | GeneratorEntry, tools: Mapping[str, Tool], added: Path) -> Generator:
    """Find what an entry of the study file names.

    Args:
        entry: of `generators`.
        tools: all tools with sources here, by name.
        added: folder of added tools.

    Raises:
        ValueError: an unknown tool, variant or option, an image that was not added or not checked; an argument each.
    """
    if isinstance(entry, str):
        if entry.startswith(PREFIX):
            raise ValueError(f'an image makes labels under a name of yours; write {{name: mine, tool: "{entry}"}}')
        tool_name, _, variant = entry.partition("-")
        entry = GeneratorEntry(name=entry, tool=tool_name, variant=variant or None)
    is_image = entry.tool.startswith(PREFIX)
    tool = _find_image_tool(entry, tools, added) if is_image else _find_generator(entry, tools)
    manifest = tool.manifest
    chosen = entry.variant or manifest.default_variant
    problems = _option_problems(tool, entry.options)
    try:
        manifest.variant(chosen)
    except ValueError as error:
        problems.append(str(error))
    if not problems and tool.added is not None and not tool.added.may_run(chosen):
        problems.append(
            f"variant {chosen} of {entry.tool} was never checked; `coordinator tool add {tool.added.image} --variant "
            f"{chosen}` does it"
        )
    if problems:
        raise ValueError(*problems)
    options = manifest.complete_options(dict(entry.options))
    return Generator(entry.name, tool, chosen, options, tuple(entry.of))


def find_shared_names(generators: Iterable[Generator]) -> Iterator[str]:
    """Say of which foreign images one name in the manifest stands for two label tables or two sets of weights.

    `remaps/<name>.yaml` and `weights/<name>` are found by that name, so one image would get what is another's.
    """
    first: dict[str, Generator] = {}
    for generator in generators:
        added = generator.tool.added
        other = first.setdefault(added.manifest.name, generator).tool.added if added else None
        if added and other and added.id != other.id and _tables(added) != _tables(other):
            yield (
                f"generators: {first[added.manifest.name].name}, {generator.name}: two images that call themselves "
                f"{added.manifest.name} must have the same labels and weights, but have not, and "
                "label mappings and folders of weights are found by that name; give one of them another"
            )


def _tables(added: AddedTool) -> dict[str, object]:
    return {name: (variant.labels, variant.weights) for name, variant in added.manifest.variants.items()}


def _option_problems(tool: Tool, options: Mapping[str, OptionValue]) -> list[str]:
    """All that is wrong with the options; those of a foreign image are checked within a few seconds."""
    if tool.added is None:
        return tool.manifest.option_problems(options)
    try:
        return within_seconds(OPTIONS_S, tool.manifest.option_problems, options)
    except ValueError as error:
        return [f"options of {tool.name} must be checked by the patterns of its manifest, but {error}"]


def _find_generator(entry: GeneratorEntry, tools: Mapping[str, Tool]) -> Tool:
    generators = {name: tool for name, tool in tools.items() if tool.manifest.kind == "generator"}
    if entry.tool not in generators:
        valid = [f"{n}-{v}" if v != t.manifest.default_variant else n
                 for n, t in generators.items() for v in t.manifest.variants]  # fmt: skip
        raise ValueError(f"there is no generator {show_text(entry.tool)!r}; {did_you_mean(entry.name, valid)}")
    return generators[entry.tool]


def _find_image_tool(entry: GeneratorEntry, tools: Mapping[str, Tool], folder: Path) -> Tool:
    """An added tool; its name must be no tool's of ours, since folders and records of results would mix the two."""
    try:
        added = find_added(folder, entry.tool.removeprefix(PREFIX), entry.variant)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if added.manifest.name in tools:
        raise ValueError(f"{entry.tool} calls itself {added.manifest.name}, which is the name of a tool of ours")
    return Tool(folder, added.manifest, added)
