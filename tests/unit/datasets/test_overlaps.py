"""What is published on datasets that share scans, and on what networks were trained on."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.errors import UsageError
from coordinator.datasets.known import known_datasets
from coordinator.datasets.overlaps import (
    FILE,
    KnownOverlaps,
    find_published_overlap,
    find_training_sets,
    known_overlaps,
    public_name,
)
from coordinator.tools.finding import find_tools


def test_every_dataset_that_comes_with_a_description_has_a_name_here() -> None:
    assert [name for name in known_datasets() if public_name(name) is None] == []


@pytest.mark.parametrize("name", ["AbdomenCT-1K", "abdomenct1k", "CT1K", "abdomen_ct_1k"])
def test_a_dataset_is_known_by_any_spelling_of_its_name(name: str) -> None:
    assert public_name(name) == "abdomenct1k"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("word", "AbdomenAtlas", "AbdomenAtlas is published with 120 scans of word"),
        ("abdomenatlas10", "btcv", "abdomenatlas10 is published with 47 scans of btcv"),
        ("amos", "abdomenatlas10", "abdomenatlas10 is published with 200 scans of amos"),
        ("abdomenct1k", "flare21", "abdomenct1k is published with 361 scans of flare21"),
        ("flare22", "abdomenct1k", "abdomenct1k is published with 50 scans of flare22"),
        ("lits", "abdomenct1k", "abdomenct1k is published with scans of lits"),
        ("abdomenatlas10", "flare22", "abdomenatlas10 is published with scans of abdomenct1k, which holds scans of flare22"),
        ("flare21", "flare-21", "flare21 and flare-21 are both called after one public dataset, flare21"),
    ],
)  # fmt: skip
def test_what_is_published_on_two_datasets_is_said_whichever_comes_first(one: str, other: str, said: str) -> None:
    found, turned = find_published_overlap(one, other), find_published_overlap(other, one)

    assert found is not None
    assert turned is not None
    assert said in (found.sentence, turned.sentence)
    assert found.source


@pytest.mark.parametrize(("one", "other"), [("word", "segthor"), ("btcv", "amos22"), ("abdomenatlas10", "mine")])
def test_nothing_is_said_where_nothing_is_published(one: str, other: str) -> None:
    assert find_published_overlap(one, other) is None


def test_every_tool_with_weights_has_a_record_for_each_of_its_variants() -> None:
    tools = [tool for tool in find_tools().values() if tool.manifest.kind == "generator"]
    variants = [(t.name, name) for t in tools for name, variant in t.manifest.variants.items() if variant.weights]

    assert len(variants) >= 10
    assert [of for of in variants if find_training_sets(*of) is None] == []


def test_every_record_is_of_a_tool_and_of_variants_that_exist() -> None:
    tools = find_tools()

    records = known_overlaps().generators

    assert [(r.tool, v) for r in records for v in r.variants if v not in tools[r.tool].manifest.variants] == []


def test_what_is_not_known_of_a_network_is_not_claimed() -> None:
    known = {record.tool: record.datasets for record in known_overlaps().generators}

    assert known == {
        "totalseg": ("totalsegmentator",), "stunet": ("totalsegmentator",), "medsam": None, "nninteractive": None,
        "cads": None, "voxtell": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("btcv: []", "btcv: [amos]"), "names: must be different, but these came twice: amos"),
        (("  chaos: []\n", ""), "names: must list every dataset, but has no chaos"),
        (("btcv: 47", "btcv: some"), "overlaps.0.holds.btcv"),
        (("    source: JunMa11/AbdomenCT-1K, issue 7\n", ""), "overlaps.4.source"),
    ],
)
def test_facts_that_contradict_themselves_or_lack_a_source_are_refused(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "overlaps.yaml").write_text(text.replace(*change, 1), encoding="utf-8")

    with pytest.raises(UsageError) as raised:
        yamlfiles.load(tmp_path / "overlaps.yaml", KnownOverlaps)

    assert said in str(raised.value)
