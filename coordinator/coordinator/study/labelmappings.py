"""From a generator's label ids to a dataset's, by organ name and never by position.

A label mapping says which of a generator's organs each organ of the dataset is:

    map: {kidney: [kidney_left, kidney_right], liver: [liver]}
    unavailable: {rectum: TotalSegmentator has no rectum}
    discard: others                # or a list: what the generator knows and the dataset does not

The first of these that exists is used; a generator that takes its labels from the dataset needs none.

    <data>/<dataset>/remaps/<tool>.yaml     the user's own
    <tool>/remaps/<dataset>.yaml            comes with the tool, for the datasets of `coordinator dataset describe`
    no file                                 where every organ of the dataset has a source of the same name

That of a label set is named in the study file, and holds the set's own label table, too:

    labels: {1: liver, 2: left kidney}
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from contract import yamlfiles
from contract.errors import UsageError
from contract.labeltables import LabelTable
from contract.yamlfiles import Strict, did_you_mean
from contract.yamltext import list_problems
from coordinator.study.file import find_duplicates
from coordinator.study.generators import Generator


class LabelMapping(Strict):
    """A label mapping as it is written in its file."""

    map: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
        description="target organ -> source organs that are merged into it"
    )
    unavailable: dict[str, str] = Field(
        default_factory=dict, description="target organ -> why the generator cannot give it"
    )
    discard: Literal["others"] | list[str] = Field(
        default_factory=list, description="source organs that become background; `others`: all that are not mapped"
    )


class LabelSetMapping(LabelMapping):
    """A label mapping of a label set."""

    labels: LabelTable = Field(min_length=1, description="label id of the set -> organ")


@dataclass(frozen=True, slots=True)
class IdMapping:
    """A label mapping in ids: how one generator's ids become one dataset's.

    Attributes:
        to_target: source id -> target id, for every id of the generator; 0 for discarded ones.
        unavailable: target organ -> why the generator cannot give it.
    """

    to_target: dict[int, int]
    unavailable: dict[str, str]


def find_id_mapping(generator: Generator, target: dict[int, str], dataset: Path) -> IdMapping:
    """Find the label mapping of a generator on a dataset, and read it.

    Args:
        generator: with tool and variant.
        target: the dataset's label id -> organ.
        dataset: its folder, which has its name.

    Raises:
        UsageError: the generator has labels of its own and there is no label mapping (the message holds one to
            complete), or it is unsound.
    """
    source = generator.tool.manifest.variant(generator.variant).labels
    if source == "from-dataset":
        return IdMapping({label: label for label in target}, {})
    users_file = dataset / "remaps" / f"{generator.tool.name}.yaml"
    added, shipped_file = generator.tool.added, generator.tool.folder / "remaps" / f"{dataset.name}.yaml"
    if users_file.is_file():
        return read_label_mapping(users_file, source, target)
    if added is None and shipped_file.is_file():
        return _read_shipped(shipped_file, source, target, users_file)
    source_ids = _ids_by_organ(source)
    if all(organ in source_ids for organ in target.values()):
        return _to_ids({organ: [organ] for organ in target.values()}, {}, source_ids, target)
    nor = "" if added else f" (nor {shipped_file})"
    manifest = generator.tool.folder / "manifest.yaml"
    listed = f"by `docker run --rm {added.id} describe`" if added else f"in {manifest}"
    raise UsageError(
        f"{users_file}: {generator.name} has labels of its own, so a label mapping must say which of them are the "
        f"organs of {dataset.name}, but there is none{nor}; complete this one and put it there\n\n"
        f"{_write_skeleton(source_ids, target.values())}\n"
        f"The organs of {generator.name} are listed {listed}"
    )


def find_set_mapping(file: Path | None, target: dict[int, str]) -> IdMapping:
    """The label mapping of a label set.

    Args:
        file: the yaml file; None where the set has the dataset's ids.
        target: the dataset's label id -> organ.

    Raises:
        UsageError: no file, or one that is unsound.
    """
    if file is None:
        return IdMapping({label: label for label in target}, {})
    content = yamlfiles.load(file, LabelSetMapping)
    return _check_mapping(file, content, dict(content.labels), target)


def read_label_mapping(file: Path, source: dict[int, str], target: dict[int, str]) -> IdMapping:
    """Read a label mapping and check it against both label tables.

    Args:
        file: the yaml file.
        source: the generator's label id -> organ.
        target: the dataset's label id -> organ.

    Raises:
        UsageError: unknown organs, a source used twice, an organ of either side that is not named.
    """
    return _check_mapping(file, yamlfiles.load(file, LabelMapping), source, target)


def _check_mapping(file: Path, content: LabelMapping, source: dict[int, str], target: dict[int, str]) -> IdMapping:
    source_ids = _ids_by_organ(source)
    problems = _find_problems(content, source_ids, {organ: label for label, organ in target.items()})
    if problems:
        raise UsageError(list_problems(str(file), problems))
    return _to_ids(content.map, content.unavailable, source_ids, target)


def _ids_by_organ(labels: Mapping[int, str]) -> dict[str, int]:
    """Organ -> label id, without the background."""
    return {organ: label for label, organ in labels.items() if label != 0}


def _to_ids(
    mapped: Mapping[str, list[str]],
    unavailable: dict[str, str],
    source_ids: Mapping[str, int],
    target: Mapping[int, str],
) -> IdMapping:
    target_ids = {organ: label for label, organ in target.items()}
    to_target = {source_ids[source]: target_ids[organ] for organ, sources in mapped.items() for source in sources}
    return IdMapping({label: to_target.get(label, 0) for label in sorted(source_ids.values())}, dict(unavailable))


def _read_shipped(file: Path, source: dict[int, str], target: dict[int, str], users_file: Path) -> IdMapping:
    """Read a label mapping that comes with a tool; where it does not fit, the dataset's label table is to blame."""
    try:
        return read_label_mapping(file, source, target)
    except UsageError as error:
        raise UsageError(
            f"{error}\n  name the organs in dataset.yaml as `coordinator dataset describe {file.stem}` does, "
            f"or write your own label mapping to {users_file}"
        ) from None


def _write_skeleton(source: Iterable[str], target: Iterable[str]) -> str:
    """A label mapping to complete: equal names are filled in."""
    sources = sorted(source)
    lines = ["map:"]
    for organ in target:
        if organ in sources:
            lines.append(f"  {organ}: [{organ}]")
        else:
            similar = [name for name in sources if any(word in name for word in _telling_words(organ))]
            lines.append(f"  {organ}: []  # one or more{': ' * bool(similar)}{', '.join(similar)}")
    return "\n".join([*lines, "unavailable: {}  # organs that it cannot give -> why", "discard: others", ""])


def _telling_words(organ: str) -> list[str]:
    """The words of a name that say what the organ is, not where."""
    return [word for word in organ.split("_") if word not in {"left", "right", "and", "or", "of", "vein"}]


def _find_problems(content: LabelMapping, source: dict[str, int], target: dict[str, int]) -> list[str]:
    """Everything that is wrong with a label mapping, one line each."""
    mapped = [organ for organs in content.map.values() for organ in organs]
    discarded = [o for o in source if o not in mapped] if content.discard == "others" else content.discard
    used = mapped + discarded
    named = [*content.map, *content.unavailable]
    return [
        *(f"{o}: the dataset has no such organ; {did_you_mean(o, target)}" for o in named if o not in target),
        *(f"{o}: the source has no such organ; {did_you_mean(o, source)}" for o in used if o not in source),
        *(f"{o}: a source must go to one target, but it is named twice" for o in find_duplicates(used)),
        *(f"{o}: is both mapped and unavailable" for o in content.map if o in content.unavailable),
        *(f"{o}: organ of the dataset is neither mapped nor unavailable" for o in target if o not in named),
        *(f"{o}: organ of the source is neither mapped nor discarded" for o in source if o not in used),
    ]  # fmt: skip
