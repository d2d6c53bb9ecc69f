"""Downloading one large file so that nothing is fetched twice.

    GET ─► 200: from the start ─────────────► .NAME.part  (+ .NAME.part.json: url, validator, size)
     │                                             │ broken off, killed
     └── GET, Range + If-Range ◄───────────────────┘
           ├─► 206 of the same file ─► appended
           └─► 200, or 206 of another file ─► from the start

A library would be better than this. requests does the HTTP: redirects, TLS, proxies of the environment. pooch, the
usual choice for data files, has no Range requests, so that it begins a file of 11 GB again after each broken
connection; Hugging Face's downloader resumes, but knows its own host alone.
"""

import json
import re
import shutil
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from contract import atomic
from contract.errors import CaseError

BYTES = 1 << 16
"""Read and written at a time; so many are lost when a connection breaks."""
MET, UNMET = 5, 2
"""Attempts in a row without a new byte: of a server that has sent something in this run, and of one that has not."""

Tell = Callable[[int, int | None], None]
"""Is told how many bytes are there, of how many."""


class NotThereError(CaseError):
    """The server has no such file."""


class _BrokenError(Exception):
    """Try again: the connection, or the server, failed."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of the file that a part is of.

    Attributes:
        url: where it comes from.
        validator: strong ETag, or date of the last change; None where the server gives neither.
        size: in bytes; None where the server doesn't say.
    """

    url: str
    validator: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches files over HTTP.

    Attributes:
        session: with proxies and trusted certificates.
        pause_s: before the second attempt; doubled each time.
        timeout_s: to connect, and between two pieces.
    """

    session: requests.Session
    pause_s: float = 1.0
    timeout_s: tuple[float, float] = (20.0, 60.0)

    def fetch(self, url: str, part: Path, check_size: Callable[[int], None], tell: Tell) -> None:
        """Download a file, or the rest of it.

        Args:
            url: http or https.
            part: the file to write; what an earlier call left in it is kept if the server still has the same file,
                which takes an ETag or a date: without either it begins again.
            check_size: called with the size in bytes before anything is written, where the server says it; may raise.
            tell: called after each piece.

        Raises:
            CaseError: unreachable, refused, a web page instead of a file, no room on the disk; the part stays.
            NotThereError: no such file.
        """
        attempt, met = 0, False
        while True:
            before = _size(part)
            try:
                self._attempt(url, part, check_size, tell)
            except _BrokenError as error:
                progress = _size(part) > before
                met = met or progress
                attempt = 1 if progress else attempt + 1
                if attempt >= (MET if met else UNMET):
                    raise CaseError(f"{url}: must be reachable, but: {error}") from None
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            else:
                return

    def _attempt(self, url: str, part: Path, check_size: Callable[[int], None], tell: Tell) -> None:
        note, have = _left(part, url)
        if note is not None and note.size == have:
            return
        headers = {"Accept-Encoding": "identity"}
        if note is not None and note.validator is not None:
            headers |= {"Range": f"bytes={have}-", "If-Range": note.validator}
        with _answered(self.session, url, headers, self.timeout_s) as response:
            if response.status_code in (206, 416):
                if note is None or not _is_rest(response, note, have):
                    forget(part)
                    raise _BrokenError("the server sent another part than it was asked for")
            else:
                note, have = Note(url, _validator(response), _length(response)), 0
                if note.size is not None:
                    check_size(note.size)
                part.write_bytes(b"")  # before the note: bytes of another file must never be taken for this one's
                atomic.write_text(_note_file(part), json.dumps(asdict(note)))
            _refuse_full_disk(part, have, note.size)
            _receive(response, part, have, note.size, tell)
        if note.size is not None and (came := _size(part)) != note.size:
            if came > note.size:
                forget(part)
            raise _BrokenError(f"{came} of {note.size} bytes came")


def new_session() -> requests.Session:
    """A session that trusts what the system trusts; proxies and other certificates come from the environment."""
    session = requests.Session()
    paths = ssl.get_default_verify_paths()
    session.verify = paths.cafile or paths.capath or True
    return session


def forget(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _answered(
    session: requests.Session, url: str, headers: dict[str, str], timeout_s: tuple[float, float]
) -> requests.Response:
    """A response whose body can be read."""
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout_s)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _BrokenError(_reason(error)) from None
    except requests.RequestException as error:
        raise CaseError(f"{url}: must be an address to fetch from, but: {error}") from None
    code = response.status_code
    is_page = code == 200 and response.headers.get("Content-Type", "").startswith("text/html")
    if code in (200, 206, 416) and not is_page:
        return response
    response.close()
    if is_page:
        raise CaseError(f"{url}: must be a file, but the server answered with a web page; see it in a browser")
    if code in (404, 410):
        raise NotThereError(f"{url}: must exist, but the server answered {code}")
    if code == 429 or code >= 500:
        raise _BrokenError(f"the server answered {code}")
    raise CaseError(f"{url}: must be given by the server, but it answered {code} {response.reason}")


def _receive(response: requests.Response, part: Path, have: int, size: int | None, tell: Tell) -> None:
    """Write the body behind what is there."""
    tell(have, size)
    with part.open("ab" if have else "wb") as stream:
        try:
            for piece in response.iter_content(BYTES):
                stream.write(piece)
                have += len(piece)
                tell(have, size)
        except requests.RequestException as error:
            raise _BrokenError(_reason(error)) from None


def _left(part: Path, url: str) -> tuple[Note | None, int]:
    """What an earlier attempt left of this file: what is known of it, and how many bytes are there."""
    have = _size(part)
    with suppress(OSError, ValueError, TypeError):
        note = Note(**json.loads(_note_file(part).read_text(encoding="utf-8")))
        if have and note.url == url:
            return note, have
    return None, 0


def _is_rest(response: requests.Response, note: Note, have: int) -> bool:
    """Whether a partial answer goes on where the part ends, in the same file: not every server heeds If-Range."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or found is None or int(found[1]) != have:
        return False
    same_size = note.size is None or found[2] in ("*", str(note.size))
    return same_size and _validator(response) in (None, note.validator)


def _validator(response: requests.Response) -> str | None:
    """What changes when the file does; a weak ETag must not be used for parts (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _refuse_full_disk(part: Path, have: int, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - have > free:
        raise CaseError(
            f"{part.parent}: must have {(size - have) / 1e6:.1f} MB of room, but has {free / 1e6:.1f} MB; make room"
        )


def _reason(error: BaseException) -> str:
    """The innermost cause of a chain of network errors, which says it in one line."""
    inner = [getattr(error, "reason", None), *error.args]
    cause = next((each for each in inner if isinstance(each, Exception)), None)
    return _reason(cause) if cause else str(error) or type(error).__name__


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _note_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
