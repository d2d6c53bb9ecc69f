"""What cases of DICOM folders are called: as the folders, unless those bear what headers say of a person."""

import re
from collections.abc import Sequence
from functools import lru_cache

from pydicom import Dataset

from contract.casenames import LONGEST_BYTES

NAME_TAGS = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ReferringPhysicianName",
    "PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "OperatorsName",
)  # fmt: skip
NUMBER_TAGS = (
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientBirthDate", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "InstitutionName",
)  # fmt: skip
PERSONAL_TAGS = (*NAME_TAGS, *NUMBER_TAGS, "PatientIdentityRemoved")
SHORTEST_WORD = 3
"""Letters of a word that is looked for: initials and the numbers 1 to 99 stand in too many names of folders."""
SHORTEST_NUMBER, SHORTEST_NAME = 4, 6
"""Characters of a word with a digit, or of letters alone, that is looked for within others as well: of thousands of
people some are called as a part of `patient` or `abdomen`."""
UID = re.compile(r"\d+(\.\d+){5,}")
"""A name like that of a DICOM UID, which leads to a scan in its hospital's archive."""


def personal_words(header: Dataset) -> set[str]:
    """Words of a header that may tell who or where somebody is; none where it says that it was made anonymous."""
    if str(header.get("PatientIdentityRemoved", "")).upper() == "YES":
        return set()
    names = [re.split(r"\W+|_", str(header.get(tag) or "").casefold()) for tag in NAME_TAGS]
    words = {word for parts in names for word in (*parts, "".join(parts), "".join(reversed(parts)))}
    words |= {_squeeze(part) for tag in NUMBER_TAGS for part in str(header.get(tag) or "").split("\\")}
    return {word for word in words if len(word) >= SHORTEST_WORD}


def is_personal(name: str, words: frozenset[str]) -> bool:
    """Whether a name holds one of the words, or a UID.

    Short words count only between blanks and the like. It looks at parts of the name, not at all words: a source
    of thousands of patients has tens of thousands.
    """
    squeezed, parts = _squeeze(name), re.split(r"\W+|_", name.casefold())
    pieces = (squeezed[i : i + n] for n in _lengths(words) for i in range(len(squeezed) - n + 1))
    within = (piece for piece in pieces if _counts_within(piece))
    return bool(UID.search(name)) or not words.isdisjoint(parts) or not words.isdisjoint(within)


def name_cases(folders: Sequence[str], source: str, words: frozenset[str]) -> tuple[dict[str, str], bool]:
    """Name cases by their folders, as short as can tell them apart.

    Args:
        folders: of the cases, below the source.
        source: name of the source, for a case that lies in it directly.
        words: that no name may hold.

    Returns:
        Folder -> name of its case; and whether the names are numbers, since others would be personal or not unique.
    """
    paths = {folder: folder.split("/") if folder else [source] for folder in folders}
    while len(paths) > 1 and len({path[0] for path in paths.values()}) == 1 and all(len(p) > 1 for p in paths.values()):
        paths = {folder: path[1:] for folder, path in paths.items()}
    depth, deepest = 1, max(map(len, paths.values()), default=1)
    while depth < deepest and len({tuple(path[:depth]) for path in paths.values()}) < len(paths):
        depth += 1
    names = {folder: "_".join(path[:depth]) for folder, path in paths.items()}
    is_bad = len({name.casefold() for name in names.values()}) < len(names) or any(
        is_personal(name, words) or len(name.encode(errors="replace")) > LONGEST_BYTES for name in names.values()
    )
    if is_bad:
        names = {folder: f"case_{number:04d}" for number, folder in enumerate(sorted(folders), 1)}
    return names, is_bad


@lru_cache(maxsize=1)
def _lengths(words: frozenset[str]) -> list[int]:
    """Of the words that are looked for within others."""
    return sorted({len(word) for word in words if _counts_within(word)})


def _counts_within(word: str) -> bool:
    return len(word) >= (SHORTEST_NAME if word.isalpha() else SHORTEST_NUMBER)


def _squeeze(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
