"""Which files of a folder are cases, which are passed over and why, and which names a case can have.

A case is called as its file without `.nii.gz`. Blanks, commas, quotes, a leading dash and letters of any language are
fine. What breaks in lists of cases or on another filesystem is not: control characters, very long names, and two names
that differ only in upper and lower case or in the Unicode form of their accents.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".nii.gz"
LONGEST_BYTES = 200
"""Of a name: filesystems allow 255 bytes for a file, and `.NAME.nii.gz.part` must fit."""
CHANNEL = "_0000"
"""nnU-Net's ending of image names, which its label maps don't have."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is no case.

    Attributes:
        file: its name, printable.
        case: the case that it seems to be meant as; None where it seems to be none.
        why: what is wrong with it, and what to do.
    """

    file: str
    case: str | None
    why: str


def case_names(folder: Path) -> list[str]:
    """Cases that have a file in a folder, sorted; `list_passed_over` has the other files."""
    names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return sorted(name for name in names if not name.startswith(".") and not _name_problem(name))


def list_passed_over(folder: Path) -> list[PassedOver]:
    """Everything in a folder of cases that is no case, sorted; files of Finder, unfinished writes, other endings."""
    cases = set(case_names(folder))
    files = {f"{case}{SUFFIX}" for case in cases}
    return [_describe(path, cases) for path in sorted(folder.glob("*")) if path.name not in files]


def describe_passed_over(folder: Path, items: Iterable[PassedOver] | None = None) -> list[str]:
    """A line for each reason why files of a folder are no cases; it names all of them, or those of `items`."""
    files: dict[str, list[str]] = {}
    for item in list_passed_over(folder) if items is None else items:
        files.setdefault(item.why, []).append(item.file)
    return [f"{folder.name}: passed over: {', '.join(names)}: {why}" for why, names in files.items()]


def find_twins(names: Iterable[str]) -> dict[str, str]:
    """Names that only some filesystems can tell apart -> why they can't be used; empty where there are none."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_fold(name), []).append(name)
    return {name: _describe_twins(name, group) for group in groups.values() if len(group) > 1 for name in group}


def find_near_miss(folder: Path, case: str, taken: Collection[str]) -> tuple[str, str] | None:
    """The file in a folder that is nearly called as a case, and what differs; None where there is none.

    Args:
        folder: to look in.
        case: that has no file in it.
        taken: names of other cases, whose files are no near misses.
    """
    for path in sorted(folder.glob("*")):
        name, ending = _split_ending(path.name)
        is_other = path.name.startswith(".") or not ending or (name != case and name in taken)
        if not is_other and _fold_channel(name) == _fold_channel(case):
            return printable(path.name), " and ".join(_differences(case, name, ending))
    return None


def printable(name: str) -> str:
    """A name with what can't be printed as escapes."""
    return repr(name)[1:-1] if not name.isprintable() else name


def _name_problem(name: str) -> str | None:
    """Why no case can have a name; None for a sound one."""
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "a name must be UTF-8, but is in another encoding; rename it"
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        return "a name must have no control character or line break; rename it"
    length = len(name.encode())
    if length > LONGEST_BYTES:
        return f"a name must have at most {LONGEST_BYTES} bytes, but has {length}; rename it"
    return None


def _describe(path: Path, cases: Collection[str]) -> PassedOver:
    name, ending = _split_ending(path.name)
    case = printable(name) if ending and name not in cases else None
    if path.name.startswith("."):
        return PassedOver(printable(path.name), None, "hidden files are no cases")
    if problem := _name_problem(name):
        return PassedOver(printable(path.name), case, problem)
    if path.is_dir():
        return PassedOver(printable(path.name), None, "a folder is no case; put its files beside the others")
    if not ending:
        return PassedOver(printable(path.name), None, f"a case's file ends in {SUFFIX}")
    if name in cases:
        return PassedOver(printable(path.name), None, f"there is also a file of the same name that ends in {SUFFIX}")
    todo = "compress it with gzip" if ending.lower() == ".nii" else "rename it"
    return PassedOver(printable(path.name), case, f"a case's file must end in {SUFFIX}, but ends in {ending}; {todo}")


def _split_ending(file: str) -> tuple[str, str]:
    """A file's name without and with only its ending, if that is one of NIfTI in upper or lower case."""
    for ending in (SUFFIX, ".nii"):
        if file.lower().endswith(ending):
            return file[: -len(ending)], file[-len(ending) :]
    return file, ""


def _fold(name: str) -> str:
    """Equal for names that some filesystem can't tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _fold_channel(name: str) -> str:
    return _fold(name).removesuffix(CHANNEL)


def _describe_twins(name: str, group: list[str]) -> str:
    others = ", ".join(printable(other) for other in group if other != name)
    same_letters = len({unicodedata.normalize("NFC", other) for other in group}) == 1
    how = "in the Unicode form of accents" if same_letters else "in upper and lower case"
    return f"names must differ on every filesystem, but this one and {others} differ only {how}; rename or exclude one"


def _differences(case: str, name: str, ending: str) -> Iterator[str]:
    """In words, how a file's name differs from a case's."""
    plain = [unicodedata.normalize("NFC", text) for text in (case, name)]
    bare = [text.removesuffix(CHANNEL) for text in plain]
    if plain != [case, name] and case != name:
        yield "in the Unicode form of accents (composed or decomposed)"
    if (bare[0] == plain[0]) != (bare[1] == plain[1]):
        yield f"by nnU-Net's ending {CHANNEL}"
    if bare[0] != bare[1]:
        yield "in upper and lower case"
    if ending != SUFFIX:
        yield f"in its ending {ending}" + (" (compress it with gzip)" if ending.lower() == ".nii" else "")
