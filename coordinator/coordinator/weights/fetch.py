"""Fetches weights from upstream, from an HTTP mirror, or from a folder.

    url or mirror ──► .NAME.part ──► check size, format, sha256 ──► NAME ──► SHA256SUMS
                          └─ zip ──► .NAME.unpacked ──┘

Files are checked under a hidden name and renamed when they are right. One process at a time works on a tool's folder.
"""

import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contract import atomic
from contract.errors import CaseError
from contract.records import file_sha256
from contract.weights import SUMS, list_files, read_sums, record_sums
from coordinator.weights.download import Downloader, NotThereError, ShowProgress, SizeLimit, remove_part
from coordinator.weights.formats import most_bytes
from coordinator.weights.listing import WeightsItem, check_contents, check_size, describe_difference, size_tolerance_mb
from coordinator.weights.unpack import unpack

LOCK = ".fetch.lock"


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How weights are fetched.

    Attributes:
        root: the weights folder.
        downloader: downloads over HTTP.
        mirror: a folder, or the address of one; None for upstream's addresses.
        agree: asks the user to agree to the terms of weights.
        say: shows a line of text.
        show_progress: called with the received bytes and the size of the current file.
    """

    root: Path
    downloader: Downloader
    mirror: Path | str | None
    agree: Callable[[WeightsItem], bool]
    say: Callable[[str], None]
    show_progress: ShowProgress

    def fetch(self, item: WeightsItem) -> str:
        """Fetch weights, unless they are there already.

        Returns:
            What was done, in a few words.

        Raises:
            CaseError: the weights could not be fetched, or are not the right ones. A partial download stays, and the
                next call resumes it.
        """
        if item.entry.package:
            return f"comes with the package {item.entry.package}; there is nothing to fetch"
        folder = item.path(self.root).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock_folder(self.root / item.tool, self.say):
                return self._check_present(item) or self._fetch_missing(item)
        except OSError as error:
            raise CaseError(_describe_os_error(error, folder)) from None

    def _check_present(self, item: WeightsItem) -> str:
        """Check and record weights that are there; return the outcome, empty where they must be fetched."""
        if not item.is_present(self.root):
            return ""
        recorded, published = item.recorded_sums(self.root), None if item.entry.archive else item.entry.sha256
        if recorded:
            return "is there" if published in (None, *recorded.values()) else ""
        if item.entry.archive and item.entry.sha256:
            raise CaseError(
                f"{item.path(self.root)}: a folder cannot be compared with the archive's published sha256; remove it, "
                f"and fetch the archive"
            )
        path = item.path(self.root)
        sums = self._check(item, path, {})
        record_sums(self.root / item.tool, sums)
        if not item.entry.sha256:
            self._say_first_use(item)
        return "was there; its sha256 is recorded now"

    def _fetch_missing(self, item: WeightsItem) -> str:
        if item.entry.terms and not self.agree(item):
            raise CaseError(f"{item.name}: its terms must be agreed to ({item.entry.terms}); then add --accept-terms")
        source, mirror_sums = self._find_source(item)
        ready = self._hidden_path(item, "unpacked") if item.entry.archive else self._hidden_path(item, "part")
        if isinstance(source, Path):
            self.say(f"{item.name}: copying {source}")
            self._copy_from_folder(item, source, ready)
        else:
            self._download(item, source, ready)
        try:
            sums = self._check(item, ready, mirror_sums)
        except CaseError:
            _remove_tree(ready)
            remove_part(self._hidden_path(item, "part"))
            raise
        _move_into_place(ready, item.path(self.root))
        record_sums(self.root / item.tool, sums)
        remove_part(self._hidden_path(item, "part"))
        if item.entry.sha256:
            return "fetched; its sha256 is the published one"
        self._say_first_use(item)
        return "fetched; its sha256 is recorded"

    def _say_first_use(self, item: WeightsItem) -> None:
        changes = (
            f", and its address may give another file tomorrow ({item.entry.unpinned})" if item.entry.unpinned else ""
        )
        self.say(
            f"{item.name}: no sha256 is known{changes}; size and format are as expected, so this one is trusted from "
            f"now on: compare its line in {self.root / item.tool / SUMS} with that of somebody who has the same weights"
        )

    def _find_source(self, item: WeightsItem) -> tuple[Path | list[str], dict[str, str]]:
        """Find where to get weights.

        Returns:
            A path, or addresses to try in turn; and the sums in a mirror folder's SHA256SUMS.
        """
        if isinstance(self.mirror, Path):
            folders = [self.mirror / item.tool, self.mirror]
            for path in (folder / name for folder in folders for name in _mirror_names(item)):
                if path.exists():
                    sums = {**read_sums(path.parent), **read_sums(self.mirror / item.tool)}
                    return path, {file: sum_ for file, sum_ in sums.items() if item.owns(file)}
            raise CaseError(
                f"{self.mirror}: must hold {' or '.join(_mirror_names(item))}, but holds none; "
                f"{self._explain_by_hand(item)}"
            )
        if self.mirror is not None:
            base = self.mirror.rstrip("/")
            return [f"{base}/{item.tool}/{_file_name(item)}", f"{base}/{_file_name(item)}"], {}
        if placed := self._find_placed(item):
            return placed, {}
        if item.entry.url is None:
            raise CaseError(f"{item.name}: only a person can fetch it; {self._explain_by_hand(item)}")
        return [item.entry.url], {}

    def _find_placed(self, item: WeightsItem) -> Path | None:
        """Find weights that a person put into the weights folder, but not where and how the tool reads them."""
        folders = [self.root / item.tool, *([] if "/" in item.entry.file else [self.root])]
        places = (folder / name for folder in folders for name in _mirror_names(item))
        return next((path for path in places if path.exists() and path != item.path(self.root)), None)

    def _download(self, item: WeightsItem, urls: list[str], ready: Path) -> None:
        part = self._hidden_path(item, "part")
        for url in urls:
            self.say(f"{item.name}: fetching {url}")
            try:
                self.downloader.fetch(url, part, _size_limit(item), self.show_progress)
                self._check_part(item, part)
                break
            except NotThereError as error:
                if url == urls[-1]:
                    raise CaseError(f"{error}; {self._explain_by_hand(item)}") from None
            except CaseError as error:
                raise CaseError(f"{error}; {self._explain_by_hand(item)}") from None
        if item.entry.archive:
            self._unpack(item, part, ready)

    def _check_part(self, item: WeightsItem, part: Path) -> None:
        """Remove a download of another size than the manifest's; the server need not have stated it before."""
        try:
            check_size(item, part.stat().st_size)
        except CaseError:
            remove_part(part)
            raise

    def _copy_from_folder(self, item: WeightsItem, source: Path, ready: Path) -> None:
        """Copy or unpack weights from a mirror folder, which is left unchanged."""
        if source.is_dir():
            if item.entry.sha256:
                raise CaseError(
                    f"{source}: must be the archive, whose sha256 is published, but is a folder; put the zip there"
                )
            _remove_tree(ready)
            for file in list_files(source):
                (ready / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                _copy(file, ready / file.relative_to(source), self.show_progress)
            return
        check_size(item, source.stat().st_size)
        if item.entry.archive:
            self._unpack(item, source, ready)
        else:
            remove_part(ready)
            _copy(source, ready, self.show_progress)

    def _unpack(self, item: WeightsItem, archive: Path, ready: Path) -> None:
        _remove_tree(ready)
        try:
            _check_archive(item, archive)
            unpack(archive, item.path(self.root).name, ready)
        except CaseError:
            _remove_tree(ready)
            remove_part(self._hidden_path(item, "part"))
            raise

    def _check(self, item: WeightsItem, path: Path, mirror_sums: dict[str, str]) -> dict[str, str]:
        """Check weights by all that is known of them, and return the sha256 of their files."""
        try:
            if item.published_sums:
                check_size(item, path.stat().st_size)
            else:
                check_contents(item, path)
        except CaseError as error:
            raise CaseError(f"{error}; {self._advise(item, path)}") from None
        sums = item.compute_sums(path)
        self._compare(item, path, sums, mirror_sums)
        return sums

    def _compare(self, item: WeightsItem, path: Path, sums: dict[str, str], mirror_sums: dict[str, str]) -> None:
        """Refuse weights that differ from the published, the recorded, or the mirror's sums."""
        published = item.published_sums
        recorded = item.recorded_sums(self.root)
        for expected, origin in (
            (published, "is published"),
            ({} if published else recorded, f"{self.root / item.tool / SUMS} recorded at the first fetch"),
            (mirror_sums, "the mirror's own list says"),
        ):
            difference = describe_difference(expected, sums) if expected else ""
            if difference:
                raise CaseError(f"{item.name}: must be what {origin}, but {difference}; {self._advise(item, path)}")

    def _advise(self, item: WeightsItem, wrong: Path) -> str:
        """Say what to do about wrong weights."""
        if wrong == item.path(self.root):
            return f"remove {wrong}, then fetch it again"
        if item.recorded_sums(self.root) and not item.entry.sha256:
            return "if upstream replaced it and you want the new one, remove its lines there"
        return "try again, or another source"

    def _explain_by_hand(self, item: WeightsItem) -> str:
        """Say how a person can fetch weights that this program can't."""
        address = item.entry.page or item.entry.url
        return (
            f"get {_file_name(item)}{f' from {address}' if address else ''} yourself, put it into a folder, then run "
            f"`coordinator weights fetch --from FOLDER {item.fetch_name}`; it goes to {item.path(self.root)}"
        )

    def _hidden_path(self, item: WeightsItem, ending: str) -> Path:
        path = item.path(self.root)
        return path.with_name(f".{path.name}.{ending}")


def _file_name(item: WeightsItem) -> str:
    """Name of the file to download."""
    upstream = urlsplit(item.entry.url).path.rsplit("/", 1)[-1] if item.entry.url else ""
    if item.entry.archive:
        folder, slash, name = item.entry.file.rpartition("/")  # archives of two variants may have one name
        return f"{folder}{slash}{upstream if upstream.endswith('.zip') else f'{name}.zip'}"
    return item.entry.file


def _mirror_names(item: WeightsItem) -> list[str]:
    """Names that weights may have in a mirror folder, or in its folder of the tool; the best first."""
    file = item.entry.file
    if not item.entry.archive:
        return list(dict.fromkeys([file, file.rsplit("/", 1)[-1]]))
    zips = list(dict.fromkeys([f"{file}.zip", _file_name(item)]))
    return [*zips, file] if item.entry.sha256 else [file, *zips]


def _size_limit(item: WeightsItem) -> SizeLimit:
    size = item.entry.size_mb
    limit = most_bytes(_file_name(item)) if size is None else int((size + size_tolerance_mb(size)) * 1e6)
    return SizeLimit(limit, lambda stated: check_size(item, stated))


def _check_archive(item: WeightsItem, archive: Path) -> None:
    if item.entry.sha256 and (sha256 := file_sha256(archive)) != item.entry.sha256:
        raise CaseError(f"{item.name}: archive must have sha256 {item.entry.sha256}, but has {sha256}")


def _copy(source: Path, target: Path, show_progress: ShowProgress) -> None:
    done, size = 0, source.stat().st_size
    with source.open("rb") as reader, target.open("wb") as writer:
        while piece := reader.read(1 << 22):
            writer.write(piece)
            done += len(piece)
            show_progress(done, size)
    atomic.sync(target)


def _move_into_place(ready: Path, target: Path) -> None:
    """Rename checked weights; a file replaces an older one."""
    atomic.sync(ready)
    ready.rename(target)
    atomic.sync(target.parent)


def _remove_tree(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _describe_os_error(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"{folder}: the disk is full; make room, then run the same command: it goes on from here"
    return f"{error.filename or folder}: must be readable and writable, but: {error.strerror or error}"


@contextmanager
def _lock_folder(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Lock a tool's folder, waiting for another process if needed. The kernel frees the lock of a process that died."""
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{folder}: another process fetches into it; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
