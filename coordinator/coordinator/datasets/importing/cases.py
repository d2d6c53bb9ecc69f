"""What a layout finds: cases with their files, what is left out and why, and how the dataset is described."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contract.casenames import CHANNEL, find_twins
from contract.errors import UsageError
from coordinator.datasets.importing.dicom.scans import Scan

NIFTI_ENDINGS = (".nii.gz", ".nii", ".hdr", ".hdr.gz")
"""A pair of .hdr and .img is named by its .hdr."""
NO_LABELS = "no labels"


@dataclass(frozen=True, slots=True)
class SourceCase:
    """A case of a source; all paths lie below it.

    Attributes:
        name: of the case.
        image: its CT.
        labels: its label map; None where it has masks, or no labels at all.
        masks: organ -> its binary mask, to be merged; empty where it has a label map.
        group: its patient, where the layout says so.
        scan: what it is made of where that is DICOM; then `image` and `labels` are for people.
    """

    name: str
    image: str
    labels: str | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    scan: Scan | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the case."""
        if self.scan is not None:
            return self.scan.files
        return (self.image, *([self.labels] if self.labels else []), *self.masks.values())


@dataclass(frozen=True, slots=True)
class Description:
    """What `dataset.yaml` will say.

    Attributes:
        name: proposed for the dataset.
        text: the file's text with that name; None where it is written from the rest.
        labels: label id -> organ; None where the ids that occur are numbered through.
    """

    name: str
    text: str | None = None
    labels: Mapping[int, str] | None = None
    licence: str = ""
    citation: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A source that was recognised.

    Attributes:
        layout: its name.
        description: of the dataset.
        cases: those that have an image and labels, sorted by name; of DICOM those with an image, where none has labels.
        left_out: reason -> the files or cases that are not imported.
        notes: what the user should know, a sentence each.
        source_name: of the source, to be recorded; None takes that of its folder or archive.
    """

    layout: str
    description: Description
    cases: tuple[SourceCase, ...]
    left_out: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    source_name: str | None = None


def split_ending(path: str) -> tuple[str, str]:
    """A file's path without and with only its ending, if that is one of NIfTI in upper or lower case."""
    for ending in NIFTI_ENDINGS:
        if path.lower().endswith(ending):
            return path[: -len(ending)], path[-len(ending) :]
    return path, ""


def needed_files(cases: Iterable[SourceCase], files: Iterable[str]) -> list[str]:
    """All files of cases, sorted: those that they name, and the voxels of pairs.

    Args:
        cases: of a source.
        files: all that lie in it.
    """
    named = {file for case in cases for file in case.files}
    headers = {stem.lower() for stem, ending in map(split_ending, named) if ".hdr" in ending.lower()}
    voxels = {file for file in files if re.sub(r"\.img(\.gz)?$", "", file.lower()) in headers} if headers else set()
    return sorted(named | voxels)


def drop_channel(stem: str) -> str:
    """An image's name without nnU-Net's ending of the first channel."""
    return stem.removesuffix(CHANNEL)


def collect(what: str, files: Mapping[str, list[str]]) -> dict[str, str]:
    """Case -> its one file.

    Raises:
        UsageError: a case has several.
    """
    for case, paths in files.items():
        if len(paths) > 1:
            raise UsageError(
                f"{paths[0]} and {paths[1]}: a case must have one {what}, but both are of {case}; "
                "move one of the two away, or import the folder of one of them"
            )
    return {case: paths[0] for case, paths in files.items()}


def pair_up(
    images: Mapping[str, str], labels: Mapping[str, str], left_out: Mapping[str, list[str]]
) -> tuple[tuple[SourceCase, ...], dict[str, tuple[str, ...]]]:
    """Cases of those that have both, sorted; and what is left out, with what was left out before.

    Args:
        images: case -> its image.
        labels: case -> its label map.
        left_out: reason -> names.
    """
    reasons = defaultdict(list, {reason: list(names) for reason, names in left_out.items() if names})
    reasons[NO_LABELS] += sorted(set(images) - set(labels))
    reasons["labels without an image"] += sorted(set(labels) - set(images))
    cases = tuple(SourceCase(case, images[case], labels[case]) for case in sorted(set(images) & set(labels)))
    return cases, {reason: tuple(names) for reason, names in reasons.items() if names}


def tell_missing(organs: Iterable[Iterable[str]], what: str) -> list[str]:
    """A sentence on organs that some cases have and others lack, which become background in these; none if all do.

    Args:
        organs: of each case.
        what: an organ has in a case, such as "mask".
    """
    cases = [set(names) for names in organs]
    counts = Counter(organ for names in cases for organ in names)
    missing = [f"{organ} (in {n} of {len(cases)})" for organ, n in sorted(counts.items()) if n < len(cases)]
    return [f"not all cases have a {what} of: {', '.join(missing)}; it is background in the others"] if missing else []


def refuse_twins(cases: tuple[SourceCase, ...]) -> None:
    """Refuse names of cases that only some filesystems can tell apart.

    Raises:
        UsageError: there are such.
    """
    for name, problem in find_twins(case.name for case in cases).items():
        raise UsageError(f"{name}: {problem}")
