"""Both variants' weights are fetched from archives as published, with what macOS added to them, by their own terms."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers.servers import Files, file_server
from helpers.standins import STANDINS
from helpers.weights import fetch

from contract.manifest import load_manifest
from contract.weights import check_weights, list_files
from coordinator.tools.finding import find_tool

TOOL = Path(__file__).resolve().parents[3] / "containers" / "cads"
RELEASES = "https://github.com/murong-xu/CADS/releases/download"


def published(folder: Path) -> bytes:
    """The archive of a network: its folder, and for each file a second one of macOS."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in list_files(folder):
            name = file.relative_to(folder.parent)
            archive.write(file, name)
            archive.writestr(f"__MACOSX/{name.parent}/._{name.name}", b"\0\5\26\7Mac OS X")
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A server with the stand-ins as archives, and the tool's manifest with its address."""
    networks = sorted((STANDINS / "cads" / "open").iterdir())
    with file_server({f"/research/{folder.name}.zip": published(folder) for folder in networks}) as files:
        text = (TOOL / "manifest.yaml").read_text(encoding="utf-8")
        text = text.replace(f"{RELEASES}/cads-model-research_v1.0.0", files.url("/research"))
        (tmp_path / "tools" / "cads").mkdir(parents=True)
        (tmp_path / "tools" / "cads" / "manifest.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("COORDINATOR_TOOLS", str(tmp_path / "tools"))
        monkeypatch.chdir(tmp_path)
        yield files


def test_archives_as_published_are_fetched_whole_and_without_what_macos_added(server: Files, tmp_path: Path):
    code, output = fetch("--accept-terms", "cads-research")

    assert code == 0, output
    root = tmp_path / "weights" / "cads" / "research"
    standins = STANDINS / "cads" / "open"
    files = {file.relative_to(root): file.read_bytes() for file in list_files(root)}
    assert files == {file.relative_to(standins): file.read_bytes() for file in list_files(standins)}
    check_weights(find_tool("cads").manifest, "research", tmp_path / "weights")


def test_research_weights_are_not_fetched_without_consent(server: Files, tmp_path: Path):
    code, output = fetch("cads-research")

    assert code == 3
    assert "non-commercial purposes only" in output
    assert not list((tmp_path / "weights").rglob("*.pth"))


@pytest.mark.parametrize(
    ("variant", "licence", "has_terms"), [("open", "CC BY-SA 4.0", False), ("research", "CC BY-NC-SA 4.0", True)]
)
def test_each_variant_has_nine_archives_of_its_own_release(variant: str, licence: str, has_terms: bool):
    entries = load_manifest(TOOL).variant(variant).weights

    assert len(entries) == 9
    for entry in entries:
        folder = entry.file.removeprefix(f"{variant}/")
        assert entry.url == f"{RELEASES}/cads-model-{variant}_v1.0.0/{folder}.zip"
        assert (entry.archive, entry.licence, bool(entry.terms)) == ("zip", licence, has_terms)


def test_both_variants_have_the_same_structures():
    manifest = yaml.safe_load((TOOL / "manifest.yaml").read_text(encoding="utf-8"))

    assert manifest["variants"]["open"]["labels"] == manifest["variants"]["research"]["labels"]
    assert sorted(manifest["variants"]["open"]["labels"]) == list(range(1, 168))
