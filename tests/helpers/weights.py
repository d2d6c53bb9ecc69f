"""Helpers of the tests of weights: a tool with weights, and fetching them as the command line does."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from coordinator.cli.weights import weights
from coordinator.tools.finding import find_tools
from coordinator.weights.download import Downloader, new_session
from coordinator.weights.fetch import Fetcher
from coordinator.weights.listing import select_weights


def make_checkpoint(seed: bytes) -> bytes:
    """A file that begins and ends as PyTorch's do: 640 kB that don't repeat within a packet."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"}.")
        archive.writestr(zipfile.ZipInfo("archive/data/0"), hashlib.sha256(seed).digest() * 20_000)
    return buffer.getvalue()


ONE, OTHER = make_checkpoint(b"one"), make_checkpoint(b"other")
"""Content of one.pt, and of another file as large."""
SHORT = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""As files of PyTorch before 1.6 begin."""
SHA256 = hashlib.sha256(ONE).hexdigest()


def make_zip(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    return buffer.getvalue()


MANY_FILES = {"Many/plans.json": b"{}", "Many/fold_0/checkpoint.pth": ONE}
MANY = make_zip({"Many/": b"", **MANY_FILES})


def write_tool(folder: Path, entries: dict[str, list[dict[str, object]]], name: str = "net") -> None:
    """A tool whose variants need the given weights; the first variant is the default."""
    manifest = {
        "contract": 1, "name": name, "version": "0.1.0", "kind": "generator", "summary": "x", "licence": "MIT",
        "default_variant": next(iter(entries)),
        "variants": {v: {"summary": v, "labels": {1: "liver"}, "weights": e} for v, e in entries.items()},
    }  # fmt: skip
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


def run_weights(*arguments: str) -> Result:
    return CliRunner().invoke(weights, arguments, standalone_mode=False, catch_exceptions=False)


def fetch(*arguments: str) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    result = run_weights("fetch", *arguments)
    return result.return_value or 0, result.output


def make_fetcher(root: Path, mirror: Path | str | None = None, timeout_s: float = 5) -> Fetcher:
    """Make a fetcher like the command line's, but with short pauses and without a display."""
    downloader = Downloader(new_session(), pause_s=0.01, timeout_s=(timeout_s, timeout_s))
    return Fetcher(root, downloader, mirror, lambda item: True, lambda line: None, lambda done, size: None)


def fetch_one(root: Path, mirror: Path | str | None = None) -> str:
    (item,) = select_weights(find_tools(), ["net-one"])
    return make_fetcher(root, mirror).fetch(item)


def list_hidden(root: Path) -> set[str]:
    """Names of the hidden files that a fetch left."""
    return {path.name for path in (root / "net").glob(".*")} - {".fetch.lock"}


def start_fetch(*arguments: str, **more: object) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-c", "from coordinator.cli.main import main; main()", "weights", "fetch", *arguments]
    return subprocess.Popen(program, **more)  # type: ignore[call-overload, no-any-return]
