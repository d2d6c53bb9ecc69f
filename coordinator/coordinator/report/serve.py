"""`coordinator report --serve`: the report and the volumes of one run, for the browser of this machine alone.

    GET /                    the report        /tables/… /figures/…
    GET /viewer/             NiiVue            /viewer/cases.json   what can be chosen
    GET /volumes/…           images, label versions and predictions of the run's cases

Every address that is answered stands in one table, which is made at the start from the plan and the files on disk; no
file name ever comes from a request. A link that leads out of the run folder is not followed. Only the images of the
cases in the plan may lie elsewhere, since importers link them instead of copying.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from urllib.parse import quote, unquote

from contract.datasets import SUFFIX, case_names
from contract.errors import UsageError
from coordinator.study import steps
from coordinator.study.steps import BASE, dataset_folder, network_seeds

HOST = "127.0.0.1"
IMAGES = "/volumes/image/"
VIEWER = Path(__file__).parent / "viewer"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".gz": "application/gzip",
}
PLAIN = "text/plain; charset=utf-8"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self' data: blob: 'unsafe-inline'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Site:
    """All that is served.

    Attributes:
        files: address -> file; nothing else is ever opened.
        cases: dataset -> its labels and cases with the addresses of their volumes; what `cases.json` holds.
        root: the run folder, resolved.
    """

    files: Mapping[str, Path]
    cases: Mapping[str, Any]
    root: Path

    def find(self, address: str) -> Path | None:
        """The file behind an address; None where there is none, or where a link leads out of the allowed folders."""
        file = self.files.get(address)
        if file is None:
            return None
        real = file.resolve()
        if not real.is_file():
            return None
        if address.startswith(IMAGES):
            return real if real.name.endswith(SUFFIX) else None
        allowed = VIEWER.resolve() if address.startswith("/viewer/") else self.root
        return real if real.is_relative_to(allowed) else None


def collect_site(run: Path) -> Site:
    """Collect the files of a run folder that are served; it must have a report."""
    files = {"/": run / "report" / "index.html", "/viewer/": VIEWER / "viewer.html"}
    files |= {f"/viewer/{file.name}": file for file in sorted(VIEWER.iterdir())}
    for file in sorted((run / "report").rglob("*")):
        files[f"/{file.relative_to(run / 'report').as_posix()}"] = file
    plan = steps.read_plan(run)
    cases = {}
    for name in plan.about["versions"]:
        layers: dict[str, list[dict[str, str]]] = {}
        for layer, folder in _label_folders(plan.about, name):
            for case in case_names(run / folder):
                files[f"/volumes/{folder}/{case}{SUFFIX}"] = run / folder / f"{case}{SUFFIX}"
                layers.setdefault(case, []).append({"name": layer, "url": quote(f"volumes/{folder}/{case}{SUFFIX}")})
        entries = []
        for case in _list_cases(run, plan.about, name):
            image, address = Path(plan.data) / name / "images" / f"{case}{SUFFIX}", f"{IMAGES}{name}/{case}{SUFFIX}"
            files[address] = image
            entries.append({
                "case": case, "image": quote(address[1:]) if image.is_file() else None, "layers": layers.get(case, []),
                "held_out": case in plan.about.get("split", {}).get(name, {}).get("holdout", ()),
            })  # fmt: skip
        cases[name] = {"labels": plan.about["labels"][name], "cases": entries}
    return Site(files, cases, run.resolve())


def make_server(site: Site, port: int) -> ThreadingHTTPServer:
    """Make a server on the loopback address that answers GET and HEAD; `port` 0 takes a free one.

    Raises:
        UsageError: the port is taken.
    """

    class Handler(_Handler):
        served = site

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise UsageError(f"--port {port}: {HOST}:{port} must be free, but: {error.strerror}; give another") from None


def _list_cases(run: Path, about: Mapping[str, Any], dataset: str) -> list[str]:
    """A dataset's cases; where the plan doesn't list them, those that have reference labels."""
    return list(about.get("cases", {}).get(dataset) or case_names(run / dataset_folder(dataset) / "2-labels" / BASE))


def _label_folders(about: Mapping[str, Any], dataset: str) -> Iterator[tuple[str, str]]:
    """Folders of label maps: name in the viewer, place in the run folder."""
    versions = (BASE, *about["versions"][dataset])
    for version in versions:
        yield f"labels: {version}", f"{dataset_folder(dataset)}/2-labels/{version}"
    for version in versions:
        for seed in network_seeds(version, about.get("seeds", ()), about.get("noise_seeds", ())):
            yield f"network: {version}, seed {seed}", f"{dataset_folder(dataset)}/6-predictions/{version}/seed-{seed}"


class _Handler(BaseHTTPRequestHandler):
    """Answers from a site's table; the base class refuses all methods but GET and HEAD."""

    served: Site
    server_version = "coordinator"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer with head and body."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with the head alone."""
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: names of cases don't belong on a terminal that others see."""

    def _answer(self, *, body: bool) -> None:
        # A page elsewhere that points its own name at this address (DNS rebinding) must not read patients' volumes.
        if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", self.headers.get("Host", "")):
            self._send_head(HTTPStatus.FORBIDDEN, PLAIN, 0)
            return
        address = unquote(self.path.partition("?")[0])
        if address == "/viewer":
            self._send_head(HTTPStatus.MOVED_PERMANENTLY, PLAIN, 0, {"Location": "/viewer/"})
        elif address == "/favicon.ico":  # browsers ask for it unasked, and call it an error if there is none
            self._send_head(HTTPStatus.NO_CONTENT, PLAIN, 0)
        elif address == "/viewer/cases.json":
            content = json.dumps(self.served.cases).encode()
            self._send_head(HTTPStatus.OK, TYPES[".json"], len(content))
            if body:
                self.wfile.write(content)
        elif (file := self.served.find(address)) is not None:
            self._send_file(file, body=body)
        else:
            self._send_head(HTTPStatus.NOT_FOUND, PLAIN, 0)

    def _send_file(self, file: Path, *, body: bool) -> None:
        with file.open("rb") as stream:
            self._send_head(HTTPStatus.OK, TYPES.get(file.suffix, PLAIN), file.stat().st_size)
            if body:
                with suppress(ConnectionError):  # a browser that went on to another case
                    copyfileobj(stream, self.wfile)

    def _send_head(
        self, status: HTTPStatus, content_type: str, length: int, further: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        heads = {"Content-Type": content_type, "Content-Length": str(length), **HEADERS, **(further or {})}
        for name, value in heads.items():
            self.send_header(name, value)
        self.end_headers()
