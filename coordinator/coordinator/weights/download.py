"""Downloads one large file and resumes after an interruption, so that no byte is fetched twice.

    GET ─► 200: from the start ─────────────► .NAME.part  (+ .NAME.part.json: url, validator, size)
     │                                             │ connection broken, process killed
     └── GET, Range + If-Range ◄───────────────────┘
           ├─► 206 of the same file ─► append
           └─► 200, or 206 of another file ─► from the start

No library does this for us. requests does the HTTP: redirects, TLS, proxies of the environment. pooch, the usual choice
for data files, has no Range requests, so it starts a file of 11 GB again after each broken connection. Hugging Face's
downloader resumes, but only from its own host.
"""

import json
import re
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from contract import atomic
from contract.errors import CaseError
from coordinator.weights.disk import refuse_full_disk

PIECE_BYTES = 1 << 16
"""Bytes that are read and written at a time; at most this many are lost when a connection breaks."""
ATTEMPTS, FIRST_ATTEMPTS = 5, 2
"""Attempts in a row without a new byte: for a server that has sent something in this run, and for one that has not."""

ShowProgress = Callable[[int, int | None], None]
"""Called with the bytes received and the size of the file, if known."""


class NotThereError(CaseError):
    """The server has no such file."""


class _RetryError(Exception):
    """The connection or the server failed in a way that another attempt may mend."""


@dataclass(frozen=True, slots=True)
class PartNote:
    """What is known about a partly downloaded file.

    Attributes:
        url: its address.
        validator: strong ETag, or date of the last change; None where the server gives neither.
        size: of the whole file in bytes; None where the server doesn't say.
    """

    url: str
    validator: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """What is known of a file's size before it is fetched.

    Attributes:
        most_bytes: that may be written, whether or not the server says how many will come.
        check_size: called with the size that a server states, before anything is written; may raise.
    """

    most_bytes: int
    check_size: Callable[[int], None]

    def refuse_more(self, url: str, part: Path, size: int) -> None:
        """Remove the part of a file that is too large.

        Raises:
            CaseError: it is.
        """
        if size > self.most_bytes:
            remove_part(part)
            raise CaseError(
                f"{url}: must be a file of at most {self.most_bytes / 1e6:.4g} MB, but has at least "
                f"{size / 1e6:.4g} MB; see in a browser what it is"
            )


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches files over HTTP.

    Attributes:
        session: HTTP session with proxies and trusted certificates.
        pause_s: pause before the second attempt; doubled each time.
        timeout_s: timeouts for connecting and between two pieces.
    """

    session: requests.Session
    pause_s: float = 1.0
    timeout_s: tuple[float, float] = (20.0, 60.0)

    def fetch(self, url: str, part: Path, limit: SizeLimit, show_progress: ShowProgress) -> None:
        """Download a file, or the rest of it.

        Args:
            url: http or https.
            part: the file to write. Bytes that an earlier call left in it are kept if an ETag or a date shows that the
                server still has the same file; otherwise the download starts again.
            limit: what the file may have.
            show_progress: called after each piece.

        Raises:
            CaseError: the server is unreachable, refuses, or sends a web page, or the disk is full; the part stays. The
                server sends more than the file may have; then the part is removed.
            NotThereError: the server has no such file.
        """
        attempt, has_progressed, furthest = 0, False, _size(part)
        while True:
            try:
                self._try_once(url, part, limit, show_progress)
            except _RetryError as error:
                # Not more than before this attempt, but than ever: a server may send the same beginning for ever.
                progresses = _size(part) > furthest
                has_progressed, furthest = has_progressed or progresses, max(furthest, _size(part))
                attempt = 1 if progresses else attempt + 1
                if attempt >= (ATTEMPTS if has_progressed else FIRST_ATTEMPTS):
                    raise CaseError(f"{url}: must be reachable, but: {error}") from None
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            else:
                return

    def _try_once(self, url: str, part: Path, limit: SizeLimit, show_progress: ShowProgress) -> None:
        note, received = _read_part(part, url)
        if received > limit.most_bytes:
            remove_part(part)
            note, received = None, 0
        if note is not None and note.size == received:
            return
        headers = {"Accept-Encoding": "identity"}
        if note is not None and note.validator is not None:
            headers |= {"Range": f"bytes={received}-", "If-Range": note.validator}
        with _open_response(self.session, url, headers, self.timeout_s) as response:
            if response.status_code in (206, 416):
                if note is None or not _is_rest(response, note, received):
                    remove_part(part)
                    raise _RetryError("the server sent another part than requested")
            else:
                note, received = _describe_whole(url, response), 0
                if note.size is not None:
                    limit.check_size(note.size)
                part.write_bytes(b"")  # before the note, so that the note never describes bytes of another file
                atomic.write_text(_note_file(part), json.dumps(asdict(note)))
            if note.size is not None:
                refuse_full_disk(part.parent, note.size - received)
                limit.refuse_more(url, part, note.size)
            _receive(response, part, limit, note.size, show_progress)
        if note.size is not None and (size := _size(part)) != note.size:
            if size > note.size:
                remove_part(part)
            raise _RetryError(f"{size} of {note.size} bytes came")


def new_session() -> requests.Session:
    """Make a session that trusts the system's certificates; the environment may name proxies and other certificates."""
    session = requests.Session()
    paths = ssl.get_default_verify_paths()
    session.verify = paths.cafile or paths.capath or True
    return session


def remove_part(part: Path) -> None:
    """Remove a partly downloaded file and its note."""
    part.unlink(missing_ok=True)
    _note_file(part).unlink(missing_ok=True)


def _open_response(
    session: requests.Session, url: str, headers: dict[str, str], timeout_s: tuple[float, float]
) -> requests.Response:
    """Request a file and return a response whose body can be read."""
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout_s)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _RetryError(_reason(error)) from None
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
        raise _RetryError(f"the server answered {code}")
    raise CaseError(f"{url}: must be given by the server, but it answered {code} {response.reason}")


def _receive(
    response: requests.Response, part: Path, limit: SizeLimit, size: int | None, show_progress: ShowProgress
) -> None:
    """Append the body of a response to the part; stop at the limit, whatever the headers said or left out."""
    received = _size(part)
    show_progress(received, size)
    with part.open("ab" if received else "wb") as stream:
        try:
            for piece in response.iter_content(PIECE_BYTES):
                received += len(piece)
                limit.refuse_more(response.url, part, received)
                stream.write(piece)
                show_progress(received, size)
        except requests.RequestException as error:
            raise _RetryError(_reason(error)) from None


def _read_part(part: Path, url: str) -> tuple[PartNote | None, int]:
    """Note and size of the part that an earlier attempt left of this file; None and 0 where there is none."""
    received = _size(part)
    with suppress(OSError, ValueError, TypeError):
        note = PartNote(**json.loads(_note_file(part).read_text(encoding="utf-8")))
        if received and note.url == url:
            return note, received
    return None, 0


def _is_rest(response: requests.Response, note: PartNote, received: int) -> bool:
    """Whether a partial response continues the part with bytes of the same file: not every server heeds If-Range."""
    content_range = re.fullmatch(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or content_range is None or int(content_range[1]) != received:
        return False
    is_same_size = note.size is None or content_range[2] in ("*", str(note.size))
    return is_same_size and _validator(response) in (None, note.validator)


def _validator(response: requests.Response) -> str | None:
    """A header that changes when the file does; a weak ETag must not be used for parts (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _describe_whole(url: str, response: requests.Response) -> PartNote:
    """What the headers say of a whole file; nothing that counts where the server packs it on the way, unasked."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return PartNote(url, None, None)
    length = re.fullmatch(r"\d{1,19}", response.headers.get("Content-Length", ""), re.ASCII)
    return PartNote(url, _validator(response), int(length[0]) if length else None)


def _reason(error: BaseException) -> str:
    """The message of the innermost cause in a chain of network errors."""
    causes = [getattr(error, "reason", None), *error.args]
    cause = next((cause for cause in causes if isinstance(cause, Exception)), None)
    return _reason(cause) if cause else str(error) or type(error).__name__


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _note_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
