"""From a generator's label ids to a dataset's, by organ name and never by position.

A label map file says which of a generator's organs each organ of the dataset is:

    map: {kidney: [kidney_left, kidney_right], liver: [liver]}
    unavailable: {rectum: TotalSegmentator has no rectum}
    discard: others                # or a list: what the generator knows and the dataset does not

It is looked for in this order; a generator whose labels are the dataset's own needs none.

    <data>/<dataset>/remaps/<tool>.yaml     the user's own
    <tool>/remaps/<dataset>.yaml            comes with the tool, for the datasets of `coordinator dataset describe`
    no file                                 where every organ of the dataset has a source of the same name
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from contract import yamlfiles
from contract.errors import UsageError
from contract.yamlfiles import Strict, did_you_mean
from coordinator.study.file import Generator


class LabelMapFile(Strict):
    """A label map file."""

    map: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
        description="target organ -> source organs that are merged into it"
    )
    unavailable: dict[str, str] = Field(default_factory=dict, description="target organ -> why it cannot be had")
    discard: Literal["others"] | list[str] = Field(
        default_factory=list, description="source organs that become background; `others`: all that are not mapped"
    )


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """How one generator's ids become one dataset's.

    Attributes:
        to_target: source id -> target id, for every id of the generator; 0 for discarded ones.
        unavailable: target organ -> why no source gives it.
    """

    to_target: dict[int, int]
    unavailable: dict[str, str]


def label_space(generator: Generator, target: dict[int, str], dataset: Path) -> LabelSpace:
    """The label space of a generator on a dataset.

    Args:
        generator: with tool and variant.
        target: the dataset's label id -> organ.
        dataset: its folder, which has its name.

    Raises:
        UsageError: the generator has labels of its own and no label map is found (the message is one to fill in), or
            it is unsound.
    """
    source = generator.tool.manifest.variant(generator.variant).labels
    if source == "from-dataset":
        return LabelSpace({label: label for label in target}, {})
    own = dataset / "remaps" / f"{generator.tool.name}.yaml"
    shipped = generator.tool.folder / "remaps" / f"{dataset.name}.yaml"
    if own.is_file():
        return read_label_map(own, source, target)
    if shipped.is_file():
        return _shipped(shipped, source, target, own)
    names = _organs(source)
    if all(organ in names for organ in target.values()):
        return _space({organ: [organ] for organ in target.values()}, {}, names, target)
    raise UsageError(
        f"{own}: {generator.name} has labels of its own, so a label map must say which of them are the organs of "
        f"{dataset.name}, but there is none (nor {shipped}); complete this one and put it there\n\n"
        f"{_skeleton(names, target.values())}\n"
        f"The organs of {generator.name} are listed in {generator.tool.folder / 'manifest.yaml'}"
    )


def read_label_map(file: Path, source: dict[int, str], target: dict[int, str]) -> LabelSpace:
    """Read a label map file and check it against both label tables.

    Args:
        file: the label map file.
        source: the generator's label id -> organ.
        target: the dataset's label id -> organ.

    Raises:
        UsageError: unknown organs, a source used twice, an organ of either side that is not named.
    """
    content = yamlfiles.load(file, LabelMapFile)
    names = _organs(source)
    problems = _problems(content, names, {organ: label for label, organ in target.items()})
    if problems:
        raise UsageError("\n  ".join([f"{file}: {len(problems)} problem{'s' * (len(problems) > 1)}", *problems]))
    return _space(content.map, content.unavailable, names, target)


def _organs(source: Mapping[int, str]) -> dict[str, int]:
    """Organ -> label id, without the background."""
    return {organ: label for label, organ in source.items() if label != 0}


def _space(
    mapped: Mapping[str, list[str]], unavailable: dict[str, str], names: Mapping[str, int], target: Mapping[int, str]
) -> LabelSpace:
    targets = {organ: label for label, organ in target.items()}
    to_target = {names[source]: targets[organ] for organ, sources in mapped.items() for source in sources}
    return LabelSpace({label: to_target.get(label, 0) for label in sorted(names.values())}, dict(unavailable))


def _shipped(file: Path, source: dict[int, str], target: dict[int, str], own: Path) -> LabelSpace:
    """Read a label map that comes with a tool; what doesn't fit it is the dataset's table."""
    try:
        return read_label_map(file, source, target)
    except UsageError as error:
        raise UsageError(
            f"{error}\n  name the organs in dataset.yaml as `coordinator dataset describe {file.stem}` does, "
            f"or write a label map of your own to {own}"
        ) from None


def _skeleton(source: Iterable[str], target: Iterable[str]) -> str:
    """A label map file to be completed: equal names are filled in."""
    sources = sorted(source)
    lines = ["map:"]
    for organ in target:
        if organ in sources:
            lines.append(f"  {organ}: [{organ}]")
        else:
            near = [name for name in sources if any(word in name for word in _words(organ))]
            lines.append(f"  {organ}: []  # one or more{': ' * bool(near)}{', '.join(near)}")
    return "\n".join([*lines, "unavailable: {}  # organs that it cannot give -> why", "discard: others", ""])


def _words(organ: str) -> list[str]:
    """The words of a name that say what it is, not where."""
    return [word for word in organ.split("_") if word not in {"left", "right", "and", "or", "of", "vein"}]


def _problems(content: LabelMapFile, source: dict[str, int], target: dict[str, int]) -> list[str]:
    """Everything that is wrong with a label map file, one line each."""
    mapped = [organ for organs in content.map.values() for organ in organs]
    discarded = [o for o in source if o not in mapped] if content.discard == "others" else content.discard
    used = mapped + discarded
    named = [*content.map, *content.unavailable]
    return [
        *(f"{o}: the dataset has no such organ; {did_you_mean(o, target)}" for o in named if o not in target),
        *(f"{o}: the generator has no such organ; {did_you_mean(o, source)}" for o in used if o not in source),
        *(f"{o}: a source must go to one target, but it is named twice" for o in _twice(used)),
        *(f"{o}: is both mapped and unavailable" for o in content.map if o in content.unavailable),
        *(f"{o}: organ of the dataset is neither mapped nor unavailable" for o in target if o not in named),
        *(f"{o}: organ of the generator is neither mapped nor discarded" for o in source if o not in used),
    ]  # fmt: skip


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
