"""What is published about scans that public datasets share, and about what public networks were trained on.

The facts are data, in `overlaps.yaml`, each with its source. A dataset is known by the name of its folder, so what is
found here is a reason to look, not a finding: the folder may hold other cases than the publication.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field, model_validator

from contract import yamlfiles
from contract.yamlfiles import Items, Line, Strict

FILE = Path(__file__).with_name("overlaps.yaml")


class Overlap(Strict):
    """A public dataset that holds scans of others."""

    dataset: Line
    holds: dict[Line, int | None] = Field(
        min_length=1, description="dataset -> number of its scans, where that is known"
    )
    source: str = Field(min_length=1)


class TrainingSets(Strict):
    """What the published weights of a tool were trained on."""

    tool: Line
    variants: Items[Line] = ()
    datasets: Items[Line] | None = Field(description="None where it is not known")
    source: str = Field(min_length=1)


class KnownOverlaps(Strict):
    """The content of `overlaps.yaml`."""

    names: dict[Line, Items[Line]]
    overlaps: Items[Overlap]
    generators: Items[TrainingSets]

    @model_validator(mode="after")
    def _check_names(self) -> "KnownOverlaps":
        named = [name for overlap in self.overlaps for name in (overlap.dataset, *overlap.holds)]
        named += [name for generator in self.generators for name in generator.datasets or ()]
        if unknown := sorted(set(named) - set(self.names)):
            raise ValueError(f"names: must list every dataset, but has no {', '.join(unknown)}")
        spellings = [_plain(name) for key, others in self.names.items() for name in (key, *others)]
        if twice := sorted({name for name in spellings if spellings.count(name) > 1}):
            raise ValueError(f"names: must be different, but these came twice: {', '.join(twice)}")
        return self

    @property
    def by_spelling(self) -> dict[str, str]:
        """Each name in plain letters -> the dataset's name here."""
        return {_plain(name): key for key, others in self.names.items() for name in (key, *others)}


@dataclass(frozen=True, slots=True)
class Shared:
    """Scans that two datasets share by what is published.

    Attributes:
        sentence: what is published.
        source: where.
    """

    sentence: str
    source: str


@cache
def known_overlaps() -> KnownOverlaps:
    """Read the facts that come with this program."""
    return yamlfiles.load(FILE, KnownOverlaps)


def public_name(folder: str) -> str | None:
    """The public dataset that a folder is called after; None for none."""
    return known_overlaps().by_spelling.get(_plain(folder))


def find_published_overlap(one: str, other: str) -> Shared | None:
    """What is published on scans that two dataset folders share; None where nothing is, which proves nothing.

    Args:
        one: name of a dataset folder.
        other: of another.
    """
    first, second = public_name(one), public_name(other)
    if first is None or second is None:
        return None
    if first == second:
        return Shared(f"{one} and {other} are both called after one public dataset, {first}", "the folders' names")
    pairs = ((first, second, one, other), (second, first, other, one))
    held = [shared for find in (_find_held, _find_held_through) for pair in pairs for shared in find(*pair)]
    return next(iter([*held, *_find_common(first, second, one, other)]), None)


def find_training_sets(tool: str, variant: str) -> TrainingSets | None:
    """What the weights of a tool's variant were trained on; None for a tool without a record."""
    for record in known_overlaps().generators:
        if record.tool == tool and (not record.variants or variant in record.variants):
            return record
    return None


def _find_held(whole: str, part: str, whole_folder: str, part_folder: str) -> Iterator[Shared]:
    """That a dataset holds scans of another."""
    for overlap in known_overlaps().overlaps:
        if overlap.dataset == whole and part in overlap.holds:
            count = overlap.holds[part]
            scans = f"{count} scans" if count else "scans"
            yield Shared(f"{whole_folder} is published with {scans} of {part_folder}", overlap.source)


def _find_held_through(whole: str, part: str, whole_folder: str, part_folder: str) -> Iterator[Shared]:
    """That a dataset holds scans of one that holds scans of another."""
    for between, source in _sources_of(whole).items():
        for inner, inner_source in _sources_of(between).items():
            if inner == part:
                yield Shared(
                    f"{whole_folder} is published with scans of {between}, which holds scans of {part_folder}",
                    f"{source}; {inner_source}",
                )


def _find_common(first: str, second: str, one: str, other: str) -> Iterator[Shared]:
    """That both hold scans of a third one."""
    ours, theirs = _sources_of(first), _sources_of(second)
    if common := [name for name in ours if name in theirs]:
        sources = dict.fromkeys(source for name in common for source in (ours[name], theirs[name]))
        yield Shared(f"{one} and {other} are both published with scans of {', '.join(common)}", "; ".join(sources))


def _sources_of(dataset: str) -> Mapping[str, str]:
    """Datasets whose scans it holds -> source."""
    overlaps = [overlap for overlap in known_overlaps().overlaps if overlap.dataset == dataset]
    return {name: overlap.source for overlap in overlaps for name in overlap.holds}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
