"""`coordinator report --serve`: the report and the volumes of one run, for whom its address was told.

    GET /?token=…            a cookie, and from there to the report; without token or cookie nothing is answered
    GET /                    the report        /tables/… /figures/…
    GET /viewer/             NiiVue            /viewer/cases.json   what can be chosen
    GET /volumes/…           images, label versions and predictions of the run's cases

Every address that is answered stands in one table, which is made at the start from the plan and the files on disk; no
file name ever comes from a request. A link that leads out of the run folder is not followed. Only the images of the
cases in the plan may lie elsewhere, since importers link them instead of copying.
"""

import errno
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contract.datasets import SUFFIX, case_names
from contract.errors import UsageError
from coordinator.report.answering import IMAGES, VIEWER, Server, Site, SocketServer
from coordinator.study import steps
from coordinator.study.steps import dataset_folder, read_seeds, read_splits

HOST = "127.0.0.1"


def collect_site(run: Path) -> Site:
    """Collect the files of a run folder that are served; it must have a report."""
    files = {"/": run / "report" / "index.html", "/viewer/": VIEWER / "viewer.html"}
    files |= {f"/viewer/{file.name}": file for file in sorted(VIEWER.iterdir())}
    for file in sorted((run / "report").rglob("*")):
        files[f"/{file.relative_to(run / 'report').as_posix()}"] = file
    plan = steps.read_plan(run)
    cases = {}
    for name in plan.about["versions"]:
        held_out = {case for split in read_splits(plan.about, name).values() for case in split["holdout"]}
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
                "held_out": case in held_out,
            })  # fmt: skip
        reference = f"labels: {read_seeds(plan.about).reference}"
        cases[name] = {"labels": plan.about["labels"][name], "reference": reference, "cases": entries}
    return Site(files, cases, run.resolve())


def make_server(site: Site, port: int) -> Server:
    """Make a server on the loopback address that answers GET and HEAD; `port` 0 takes a free one.

    Raises:
        UsageError: the port is taken.
    """
    try:
        return Server((HOST, port), site)
    except OSError as error:
        raise UsageError(f"--port {port}: {HOST}:{port} must be free, but: {error.strerror}; give another") from None


def make_socket_server(site: Site, path: Path) -> SocketServer:
    """Make the same server on a Unix socket that only this user can open; it is removed when the server closes.

    Raises:
        UsageError: something is there that is no abandoned socket, or the path is too long, or can't be written.
    """
    try:
        _remove_abandoned(path)
        return SocketServer(path, site)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"--socket {path}: must be a path for a new socket, but: {reason}; give another") from None


def _remove_abandoned(path: Path) -> None:
    """Remove a socket that no server listens on any more.

    Raises:
        OSError: it is something else, or a server listens.
    """
    if not path.is_symlink() and not path.exists():
        return
    if path.is_symlink() or not path.is_socket():
        raise FileExistsError(errno.EEXIST, "something else is there")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(errno.EADDRINUSE, "another server listens there")


def _list_cases(run: Path, about: Mapping[str, Any], dataset: str) -> list[str]:
    """A dataset's cases; where the plan doesn't list them, those that have reference labels."""
    labels = run / dataset_folder(dataset) / "2-labels" / read_seeds(about).reference
    return list(about.get("cases", {}).get(dataset) or case_names(labels))


def _label_folders(about: Mapping[str, Any], dataset: str) -> Iterator[tuple[str, str]]:
    """Folders of label maps: name in the viewer, place in the run folder."""
    seeds = read_seeds(about)
    versions = (seeds.reference, *about["versions"][dataset])
    for version in versions:
        yield f"labels: {version}", f"{dataset_folder(dataset)}/2-labels/{version}"
    for version in versions:
        for seed in seeds.of(version):
            for folder in read_splits(about, dataset):
                yield f"network: {version}, seed {seed}", f"{folder}/6-predictions/{version}/seed-{seed}"
