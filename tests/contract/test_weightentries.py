"""Where weights come from: an address that its owner may fill anew must say so."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.errors import UsageError
from contract.manifest import load_manifest
from contract.weightentries import Weights, is_mutable

TOOLS = sorted(file.parent for file in (Path(__file__).resolve().parents[2] / "containers").glob("*/manifest.yaml"))
UNPINNED = {
    "stunet/small_ep4k.model", "stunet/base_ep4k.model", "stunet/large_ep4k.model", "stunet/huge_ep4k.model",
    "voxtell/embeddings/voxtell_v1.1/text_embeddings.npz",
}  # fmt: skip
"""Weights whose address may give another file tomorrow; each manifest says why."""
COMMIT = "3f308d751c00644e4fde6f09c600264b393b21b5"


@pytest.mark.parametrize(
    ("url", "mutable"),
    [
        ("https://huggingface.co/a/b/resolve/main/w.pth", True),
        ("https://huggingface.co/a/b/resolve/Main/w.pth", True),
        ("https://github.com/a/b/releases/latest/download/w.zip", True),
        ("https://raw.githubusercontent.com/a/b/master/w.pth", True),
        ("https://github.com/a/b/archive/refs/heads/dev.zip", True),
        ("https://example.org/api/raw?path=w.pth&revision=main", True),
        (f"https://huggingface.co/a/b/resolve/{COMMIT}/w.pth", False),
        ("https://github.com/a/b/releases/download/v2.0.0-weights/mainland.zip", False),
        ("https://zenodo.org/records/10689643/files/medsam_vit_b.pth", False),
    ],
)
def test_branches_and_latest_releases_are_mutable(url: str, mutable: bool):
    assert is_mutable(url) == mutable


def parse(**entry: str) -> Weights:
    return yamlfiles.parse("manifest.yaml", {"file": "w.pth", "licence": "MIT", **entry}, Weights)


def test_a_mutable_address_needs_a_sha256_or_a_reason():
    url = "https://huggingface.co/a/b/resolve/main/w.pth"

    with pytest.raises(
        UsageError, match="must name one revision for ever, such as a commit in place of `main`, but is"
    ):
        parse(url=url)

    assert parse(url=url, sha256="0" * 64).unpinned is None
    assert parse(url=url, unpinned="the commit is not known").url == url


def test_an_address_of_a_page_about_a_file_is_refused():
    with pytest.raises(UsageError, match=r"must give the file, but .* shows its page; write /resolve/ or /raw/ there"):
        parse(url=f"https://huggingface.co/a/b/blob/{COMMIT}/w.pth")


def test_only_these_weights_are_not_pinned_and_the_manifest_says_why():
    entries = {
        f"{folder.name}/{entry.file}": entry
        for folder in TOOLS
        for variant in load_manifest(folder).variants.values()
        for entry in variant.weights
    }

    assert {name for name, entry in entries.items() if entry.url and is_mutable(entry.url)} == UNPINNED
    assert {name for name, entry in entries.items() if entry.unpinned} == UNPINNED


UNSIZED = {"cads"}
"""Nobody publishes the sizes of its archives; what may be sent is bounded by their kind (`weights.formats.most_bytes`)."""


@pytest.mark.parametrize("folder", TOOLS, ids=lambda folder: folder.name)
def test_weights_have_a_size_which_bounds_what_a_server_may_send(folder: Path):
    entries = [entry for variant in load_manifest(folder).variants.values() for entry in variant.weights]
    unsized = [entry for entry in entries if entry.size_mb is None]

    assert bool(unsized) == (folder.name in UNSIZED)
    assert all(entry.archive for entry in unsized)
