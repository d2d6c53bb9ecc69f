"""Getting weights to their place: from upstream, from an HTTP mirror, or from a folder that somebody filled.

    url or mirror ──► .NAME.part ──► sha256, size ──► NAME ──► SHA256SUMS
                          └─ zip ──► .NAME.unpacked ──┘

Everything is checked under a hidden name and renamed when it is right; one process at a time works on a tool's folder.
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
from coordinator.weights.download import Downloader, NotThereError, Tell, forget
from coordinator.weights.listing import Item, difference
from coordinator.weights.unpack import unpack

LOCK = ".fetch.lock"
ABOUT = 0.1
"""Share by which a size may differ from the manifest's, which is rounded."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How weights are fetched.

    Attributes:
        root: the weights folder.
        downloader: for HTTP.
        mirror: a folder, or the address of one; None for upstream's.
        agree: asks whether the terms of weights are agreed to.
        say: shows a line about what goes on.
        tell: is told how many bytes of the present file are there.
    """

    root: Path
    downloader: Downloader
    mirror: Path | str | None
    agree: Callable[[Item], bool]
    say: Callable[[str], None]
    tell: Tell

    def fetch(self, item: Item) -> str:
        """Make weights be there; what is there already is left alone.

        Returns:
            What was done, in a few words.

        Raises:
            CaseError: they could not be had, or are not the right ones; what was downloaded stays, so that the next
                call goes on with it.
        """
        if item.entry.package:
            return f"comes with the package {item.entry.package}; there is nothing to fetch"
        folder = item.place(self.root).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.root / item.tool, self.say):
                return self._present(item) or self._fetched(item)
        except OSError as error:
            raise CaseError(_disk_trouble(error, folder)) from None

    def _present(self, item: Item) -> str:
        """What is to be said of weights that are there; empty where they must be fetched."""
        if not item.is_there(self.root):
            return ""
        recorded, published = item.recorded(self.root), None if item.entry.archive else item.entry.sha256
        if recorded:
            return "is there" if published in (None, *recorded.values()) else ""
        if item.entry.archive and item.entry.sha256:
            raise CaseError(
                f"{item.place(self.root)}: a folder cannot be compared with the archive's published sha256; remove it, "
                f"and fetch the archive"
            )
        place = item.place(self.root)
        if not item.entry.archive:
            _check_size(item, place.stat().st_size)
        found = item.found(place)
        self._compare(item, place, found, {})
        record_sums(self.root / item.tool, found)
        return "was there; its sha256 is recorded now"

    def _fetched(self, item: Item) -> str:
        if item.entry.terms and not self.agree(item):
            raise CaseError(f"{item.name}: its terms must be agreed to ({item.entry.terms}); then add --accept-terms")
        source, sums = self._source(item)
        ready = self._hidden(item, "unpacked") if item.entry.archive else self._hidden(item, "part")
        if isinstance(source, Path):
            self.say(f"{item.name}: copying {source}")
            self._take(item, source, ready)
        else:
            self._download(item, source, ready)
        found = item.found(ready)
        try:
            self._compare(item, ready, found, sums)
        except CaseError:
            _remove(ready)
            forget(self._hidden(item, "part"))
            raise
        _place(ready, item.place(self.root))
        record_sums(self.root / item.tool, found)
        forget(self._hidden(item, "part"))
        return "fetched; its sha256 is the published one" if item.entry.sha256 else "fetched; its sha256 is recorded"

    def _source(self, item: Item) -> tuple[Path | list[str], dict[str, str]]:
        """Where to get weights: a path, or addresses to be tried in turn; and what the mirror's SHA256SUMS says."""
        if isinstance(self.mirror, Path):
            places = [self.mirror / item.tool, self.mirror]
            for path in (place / name for place in places for name in _names(item)):
                if path.exists():
                    sums = {**read_sums(path.parent), **read_sums(self.mirror / item.tool)}
                    return path, {file: sum_ for file, sum_ in sums.items() if item.owns(file)}
            raise CaseError(
                f"{self.mirror}: must hold {' or '.join(_names(item))}, but holds none; {self._by_hand(item)}"
            )
        if self.mirror is not None:
            base = self.mirror.rstrip("/")
            return [f"{base}/{item.tool}/{_file_name(item)}", f"{base}/{_file_name(item)}"], {}
        if item.entry.url is None:
            raise CaseError(f"{item.name}: only a person can fetch it; {self._by_hand(item)}")
        return [item.entry.url], {}

    def _download(self, item: Item, urls: list[str], ready: Path) -> None:
        part = self._hidden(item, "part")
        for url in urls:
            self.say(f"{item.name}: fetching {url}")
            try:
                self.downloader.fetch(url, part, lambda size: _check_size(item, size), self.tell)
                break
            except NotThereError as error:
                if url == urls[-1]:
                    raise CaseError(f"{error}; {self._by_hand(item)}") from None
            except CaseError as error:
                raise CaseError(f"{error}; {self._by_hand(item)}") from None
        if item.entry.archive:
            self._unpack(item, part, ready)

    def _take(self, item: Item, source: Path, ready: Path) -> None:
        """Copy from a folder, or unpack from there; the source is left as it is."""
        if source.is_dir():
            if item.entry.sha256:
                raise CaseError(
                    f"{source}: must be the archive, whose sha256 is published, but is a folder; put the zip there"
                )
            _remove(ready)
            for file in list_files(source):
                (ready / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                _copy(file, ready / file.relative_to(source), self.tell)
            return
        _check_size(item, source.stat().st_size)
        if item.entry.archive:
            self._unpack(item, source, ready)
        else:
            forget(ready)
            _copy(source, ready, self.tell)

    def _unpack(self, item: Item, archive: Path, ready: Path) -> None:
        _remove(ready)
        try:
            _check_archive(item, archive)
            unpack(archive, item.entry.file, ready)
        except CaseError:
            _remove(ready)
            forget(self._hidden(item, "part"))
            raise

    def _compare(self, item: Item, path: Path, found: dict[str, str], others: dict[str, str]) -> None:
        """Refuse weights that are not what is published, was recorded, or what the mirror says that it holds."""
        published = {} if item.entry.archive or not item.entry.sha256 else {item.entry.file: item.entry.sha256}
        recorded = item.recorded(self.root)
        for expected, whose in (
            (published, "is published"),
            ({} if published else recorded, f"{self.root / item.tool / SUMS} recorded at the first fetch"),
            (others, "the mirror's own list says"),
        ):
            wrong = difference(expected, found) if expected else ""
            if wrong:
                raise CaseError(f"{item.name}: must be what {whose}, but {wrong}; {self._advice(item, path)}")

    def _advice(self, item: Item, wrong: Path) -> str:
        """What to do about weights that are not the right ones."""
        if wrong == item.place(self.root):
            return f"remove {wrong}, then fetch it again"
        if item.recorded(self.root) and not item.entry.sha256:
            return "if upstream replaced it and you want the new one, remove its lines there"
        return "try again, or another source"

    def _by_hand(self, item: Item) -> str:
        """What a person can do where this program can't reach anything."""
        where = item.entry.page or item.entry.url
        return (
            f"get {_file_name(item)}{f' from {where}' if where else ''} yourself, put it into a folder, then run "
            f"`coordinator weights fetch --from FOLDER {item.wish}`; it goes to {item.place(self.root)}"
        )

    def _hidden(self, item: Item, ending: str) -> Path:
        place = item.place(self.root)
        return place.with_name(f".{place.name}.{ending}")


def _file_name(item: Item) -> str:
    """The name of what is downloaded."""
    upstream = urlsplit(item.entry.url).path.rsplit("/", 1)[-1] if item.entry.url else ""
    if item.entry.archive:
        return upstream if upstream.endswith(".zip") else f"{item.entry.file}.zip"
    return item.entry.file


def _names(item: Item) -> list[str]:
    """What weights may be called in a mirror's folder, or in its folder of the tool; the best first."""
    file = item.entry.file
    if not item.entry.archive:
        return list(dict.fromkeys([file, file.rsplit("/", 1)[-1]]))
    zips = list(dict.fromkeys([f"{file}.zip", _file_name(item)]))
    return [*zips, file] if item.entry.sha256 else [file, *zips]


def _check_size(item: Item, size: int) -> None:
    """Refuse what cannot be it: a login page, a stub, another file.

    Raises:
        CaseError: the size differs from the manifest's by more than rounding can.
    """
    published = item.entry.size_mb
    if published is not None and abs(size / 1e6 - published) > max(ABOUT * published, 0.1):
        raise CaseError(f"{item.name}: must have about {published:g} MB, but has {size / 1e6:.3g} MB")


def _check_archive(item: Item, archive: Path) -> None:
    if item.entry.sha256 and (found := file_sha256(archive)) != item.entry.sha256:
        raise CaseError(f"{item.name}: archive must have sha256 {item.entry.sha256}, but has {found}")


def _copy(source: Path, target: Path, tell: Tell) -> None:
    done, size = 0, source.stat().st_size
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(1 << 22):
            writing.write(piece)
            done += len(piece)
            tell(done, size)
    atomic.sync(target)


def _place(ready: Path, place: Path) -> None:
    """Rename what is ready; a file replaces an older one."""
    atomic.sync(ready)
    ready.rename(place)
    atomic.sync(place.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _disk_trouble(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"{folder}: the disk is full; make room, then run the same command: it goes on from here"
    return f"{error.filename or folder}: must be readable and writable, but: {error.strerror or error}"


@contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a tool's folder; wait for another process that holds it. The kernel frees the lock of a dead one."""
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{folder}: another process fetches into it; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
