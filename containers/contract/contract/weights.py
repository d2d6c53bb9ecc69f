"""Trained weights of a tool: where they lie, and whether their sha256 is right.

    WEIGHTS/<tool>/<file>          a file, or a folder where upstream publishes an archive
    WEIGHTS/<tool>/SHA256SUMS      what `coordinator weights fetch` recorded, in the format of sha256sum(1)

A manifest names the sha256 that upstream publishes. Where upstream publishes none, the first fetch records it, and from
then on it must stay the same.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contract import atomic
from contract.errors import CaseError, UsageError
from contract.manifest import Manifest
from contract.records import digest, file_sha256
from contract.stamps import Stamp, take_stamp, written
from contract.weightentries import Weights

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class CheckedWeights:
    """Weights whose sha256 is right.

    Attributes:
        path: of the file, or of the folder.
        sha256: of the file; of a folder, the digest of the names and sha256 of its files.
        stamps: file -> its stamp before it was read.
    """

    path: Path
    sha256: str
    stamps: Mapping[Path, Stamp | None]

    def refuse_replaced(self) -> None:
        """Make sure that they are still those that were checked. A tool reads them later, and may go on reading them.

        Raises:
            UsageError: a file was replaced.
        """
        for file, stamp in self.stamps.items():
            if written(take_stamp(file)) != written(stamp):
                raise UsageError(
                    f"{file}: weights must stay as they are while they are used, but were replaced; run this again"
                )


def check_weights(manifest: Manifest, variant: str, root: Path) -> dict[str, CheckedWeights]:
    """Read all weights of a variant and compare their sha256.

    Args:
        manifest: the tool's.
        variant: of the manifest.
        root: folder of `<tool>/<file>`.

    Returns:
        `file` of the manifest -> where it is.

    Raises:
        UsageError: missing, never recorded, or another sha256; the message says what to do.
    """
    fetch = f"`coordinator weights fetch {manifest.name}-{variant}`"
    return {
        entry.file: _check(entry, locate_weights(entry, manifest.name, root), root / manifest.name, fetch)
        for entry in manifest.variant(variant).weights
    }


def locate_weights(entry: Weights, tool: str, root: Path) -> Path:
    """Where weights are, or should be.

    Raises:
        UsageError: they come with a package that is not installed.
    """
    if entry.package is None:
        return root / tool / entry.file
    spec = importlib.util.find_spec(entry.package)
    folder = next(iter(spec.submodule_search_locations or []), None) if spec else None
    if folder is None:
        raise UsageError(f"package {entry.package} must be installed (it contains {entry.file}), but is not")
    return Path(folder) / entry.file


def expected_sha256(entry: Weights, tool: str, root: Path) -> str | None:
    """The sha256 that weights should have, without reading them; None where none is known yet.

    `check_weights` finds the same, unless somebody changed the files.
    """
    if entry.package or (entry.sha256 and not entry.archive):
        return entry.sha256
    recorded = read_sums(root / tool)
    if entry.archive:
        files = _sums_below(recorded, entry.file)
        return digest(files) if files else None
    return recorded.get(entry.file)


def read_sums(folder: Path) -> dict[str, str]:
    """What `SHA256SUMS` of a tool's weights folder says: file -> sha256; empty where there is none.

    Raises:
        UsageError: a line is not in the format of sha256sum.
    """
    file = folder / SUMS
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: must be a readable list of sha256, but: {error}; remove it, fetch again") from None
    sums = {}
    for number, line in enumerate(lines if lines != [""] else [], 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line.removesuffix("\r"))
        if match is None:
            raise UsageError(f"{file}: line {number} must be `<sha256>  <file>`, but is {line!r}; fetch them again")
        sums[match[2]] = match[1]
    return sums


def record_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Add to `SHA256SUMS`, in one rename; other lines stay.

    Raises:
        CaseError: a name would not fit into a line.
    """
    for file in sums:
        if not file.isprintable():
            raise CaseError(f"{folder}: names of weights must be printable, but one is {file!r}; rename or remove it")
    lines = dict(sorted({**read_sums(folder), **sums}.items()))
    atomic.write_text(folder / SUMS, "".join(f"{sha256}  {file}\n" for file, sha256 in lines.items()))


def list_files(path: Path) -> list[Path]:
    """List the files of weights: the file itself, or all below a folder, sorted."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def describe_state(entry: Weights, path: Path) -> str:
    """Describe in a few words what lies in the place of weights that can't be used; nothing is read.

    Args:
        entry: of the manifest.
        path: where they should be.
    """
    wanted = "folder" if entry.archive else "file"
    if path.is_dir() if entry.archive else path.is_file():
        return f"were put there by hand, and not checked: {SUMS} has no sha256 of them"
    if path.is_symlink() and not path.exists():
        return "are a link to what does not exist"
    if path.exists():
        return f"are no {wanted}"
    elsewhere = next((place for place in _places_by_hand(entry, path) if place.exists()), None)
    return f"are at {elsewhere}" if elsewhere else "are not"


def _places_by_hand(entry: Weights, path: Path) -> list[Path]:
    """Where a person may have put weights that belong to `path`: as the archive, or beside the folder of the tool."""
    names = [path.name]
    if entry.archive:
        names += [f"{path.name}.zip", Path(urlsplit(entry.url or "").path).name or path.name]
    folders = [path.parent] if "/" in entry.file else [path.parent, path.parent.parent]
    return [folder / name for folder in folders for name in names if folder / name != path]


def _check(entry: Weights, path: Path, folder: Path, fetch: str) -> CheckedWeights:
    if not (path.is_dir() if entry.archive else path.is_file()):
        source = f" (from {entry.url or entry.page})" if entry.url or entry.page else ""
        raise UsageError(
            f"{path}: weights must be there, but {describe_state(entry, path)}; {fetch} puts them there{source}"
        )
    stamps = {file: take_stamp(file) for file in list_files(path)}
    if entry.archive:
        return CheckedWeights(path, _check_folder(entry, path, folder, fetch), stamps)
    expected = entry.sha256 or read_sums(folder).get(entry.file)
    if expected is None:
        raise UsageError(
            f"{path}: weights must have a sha256 recorded in {folder / SUMS}, but have none: they are there, put by "
            f"hand; {fetch} checks them as far as that is possible, and records it"
        )
    actual = file_sha256(path)
    if actual != expected:
        raise UsageError(f"{path}: weights must have sha256 {expected}, but have {actual}; remove them and {fetch}")
    return CheckedWeights(path, actual, stamps)


def _check_folder(entry: Weights, path: Path, folder: Path, fetch: str) -> str:
    expected = _sums_below(read_sums(folder), entry.file)
    actual = {file.relative_to(folder).as_posix(): file_sha256(file) for file in list_files(path)}
    wrong = sorted(file for file in {*expected, *actual} if expected.get(file) != actual.get(file))
    if wrong or not expected:
        what = (
            f"{wrong[0] if wrong[0].isprintable() else repr(wrong[0])} differs" if expected else "nothing is recorded"
        )
        raise UsageError(
            f"{path}: weights must be the files that {folder / SUMS} lists, but {what}; remove them and {fetch}"
        )
    return digest(actual)


def _sums_below(sums: Mapping[str, str], folder: str) -> dict[str, str]:
    return {file: sha256 for file, sha256 in sums.items() if file.startswith(f"{folder}/")}
