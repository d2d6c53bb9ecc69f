"""Label mappings: by name, nothing dropped in silence; those that come with tools, and which one is used."""

from pathlib import Path

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from coordinator.datasets.known import description_file, known_datasets
from coordinator.study.generators import Generator
from coordinator.study.labelmappings import IdMapping, find_id_mapping, read_label_mapping
from coordinator.tools.finding import Tool, find_tools

TOOLS = find_tools()
WITH_OWN_LABELS = [
    (name, variant)
    for name, tool in TOOLS.items()
    for variant, content in tool.manifest.variants.items()
    if content.labels != "from-dataset"
]
SOURCE = {1: "liver", 2: "kidney_left", 3: "kidney_right", 4: "heart"}
TARGET = {1: "kidney", 2: "liver", 5: "rectum"}
SOUND = "map: {kidney: [kidney_left, kidney_right], liver: [liver]}\nunavailable: {rectum: none}\ndiscard: [heart]\n"


def known(name: str) -> dict[int, str]:
    return yamlfiles.load(description_file(name), DatasetDescription).labels


def generator(tool: Tool, variant: str | None = None) -> Generator:
    return Generator(tool.name, tool, variant or tool.manifest.default_variant, {})


def names(tool: str, dataset: str) -> dict[str, str]:
    """Source organ -> target organ, without what is discarded."""
    source = TOOLS[tool].manifest.variant(TOOLS[tool].manifest.default_variant).labels
    assert source != "from-dataset"
    mapping = find_id_mapping(generator(TOOLS[tool]), known(dataset), Path(dataset))
    return {source[s]: known(dataset)[t] for s, t in mapping.to_target.items() if t}


@pytest.mark.parametrize("name", known_datasets())
@pytest.mark.parametrize(("tool", "variant"), WITH_OWN_LABELS)
def test_every_tool_with_labels_of_its_own_has_a_sound_mapping_for_every_known_dataset(
    tool: str, variant: str, name: str
) -> None:
    file = TOOLS[tool].folder / "remaps" / f"{name}.yaml"

    mapping = find_id_mapping(generator(TOOLS[tool], variant), known(name), Path(name))

    assert file.is_file()
    assert set(mapping.to_target.values()) - {0} == {i for i, o in known(name).items() if o not in mapping.unavailable}


@pytest.mark.parametrize("name", known_datasets())
@pytest.mark.parametrize(("tool", "variant"), WITH_OWN_LABELS)
def test_no_side_is_swapped_and_no_organ_renamed(tool: str, variant: str, name: str) -> None:
    source, target = TOOLS[tool].manifest.variant(variant).labels, known(name)
    assert source != "from-dataset"

    mapping = find_id_mapping(generator(TOOLS[tool], variant), target, Path(name))

    for label, goal in mapping.to_target.items():
        organs = (source[label], target.get(goal, ""))
        assert ("_left" in organs[0]) or not organs[1].endswith("_left")
        assert ("_right" in organs[0]) or not organs[1].endswith("_right")
        if source[label] in target.values():
            assert organs[0] == organs[1]


@pytest.mark.parametrize(
    ("dataset", "merged"),
    [
        ("word", {"small_bowel": "intestine", "adrenal_gland_left": "adrenal", "adrenal_gland_right": "adrenal",
                  "femur_left": "head_of_femur_left", "femur_right": "head_of_femur_right"}),
        ("abdomenct1k", {"kidney_left": "kidney", "kidney_right": "kidney"}),
        ("flare21", {"kidney_left": "kidney", "kidney_right": "kidney"}),
        ("btcv", {}), ("amos22", {}), ("flare22", {}), ("abdomenatlas10", {}), ("segthor", {}),
    ],
)  # fmt: skip
def test_totalsegmentators_organs_that_have_another_name(dataset: str, merged: dict[str, str]) -> None:
    assert {s: t for s, t in names("totalseg", dataset).items() if s != t} == merged


def test_stunets_heart_is_put_together_from_its_parts() -> None:
    heart = {source for source, target in names("stunet", "segthor").items() if target == "heart"}

    assert heart == {
        "heart_myocardium", "heart_atrium_left", "heart_atrium_right", "heart_ventricle_left", "heart_ventricle_right",
    }  # fmt: skip


def test_a_mapping_of_the_users_own_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "segthor" / "remaps" / "totalseg.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "map: {heart: [heart, atrial_appendage_left], aorta: [aorta]}\n"
        "unavailable: {esophagus: not asked for, trachea: not asked for}\ndiscard: others\n"
    )

    mapping = find_id_mapping(generator(TOOLS["totalseg"]), known("segthor"), tmp_path / "segthor")

    assert {s: t for s, t in mapping.to_target.items() if t} == {51: 2, 61: 2, 52: 4}
    assert list(mapping.unavailable) == ["esophagus", "trachea"]


def test_equal_names_need_no_mapping(tmp_path: Path) -> None:
    mapping = find_id_mapping(generator(TOOLS["totalseg"]), {9: "liver", 4: "spleen"}, tmp_path / "mine")

    assert {s: t for s, t in mapping.to_target.items() if t} == {5: 9, 1: 4}
    assert len(mapping.to_target) == 117
    assert mapping.unavailable == {}


def test_labels_of_the_dataset_need_no_mapping(tmp_path: Path) -> None:
    mapping = find_id_mapping(generator(TOOLS["medsam"]), {9: "liver", 4: "tumour"}, tmp_path / "mine")

    assert mapping == IdMapping({9: 9, 4: 4}, {})


def test_without_a_mapping_the_message_is_one_to_complete(tmp_path: Path) -> None:
    target = {1: "liver", 2: "bladder", 3: "lesion"}

    with pytest.raises(UsageError) as caught:
        find_id_mapping(generator(TOOLS["totalseg"]), target, tmp_path / "mine")

    own = tmp_path / "mine" / "remaps" / "totalseg.yaml"
    assert str(caught.value).startswith(f"{own}: totalseg has labels of its own")
    skeleton = str(caught.value).split("\n\n")[1]
    assert "  bladder: []  # one or more: gallbladder, urinary_bladder\n  lesion: []  # one or more\n" in skeleton
    own.parent.mkdir(parents=True)
    own.write_text(skeleton)
    with pytest.raises(UsageError, match=r"map\.bladder: .* at least 1 item.*\n.*map\.lesion: "):
        find_id_mapping(generator(TOOLS["totalseg"]), target, tmp_path / "mine")
    own.write_text(
        skeleton.replace("bladder: []", "bladder: [urinary_bladder]")
        .replace("  lesion: []  # one or more\n", "")
        .replace("unavailable: {}", "unavailable: {lesion: none}")
    )
    mapping = find_id_mapping(generator(TOOLS["totalseg"]), target, tmp_path / "mine")
    assert {s: t for s, t in mapping.to_target.items() if t} == {5: 1, 21: 2}


def test_a_known_dataset_with_other_names_is_told_which_to_use(tmp_path: Path) -> None:
    target = {i: "bladder" if organ == "urinary_bladder" else organ for i, organ in known("word").items()}

    with pytest.raises(UsageError) as caught:
        find_id_mapping(generator(TOOLS["totalseg"]), target, tmp_path / "word")

    assert "bladder: organ of the dataset is neither mapped nor unavailable" in str(caught.value)
    assert "as `coordinator dataset describe word` does" in str(caught.value)
    assert str(tmp_path / "word" / "remaps" / "totalseg.yaml") in str(caught.value)


def test_no_mapping_sends_one_source_to_two_targets(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("map: {a: [x], b: [x]}\ndiscard: others\n")

    with pytest.raises(UsageError, match="x: a source must go to one target, but it is named twice"):
        read_label_mapping(tmp_path / "mapping.yaml", {1: "x", 2: "y"}, {1: "a", 2: "b"})


def test_a_label_mapping_merges_discards_and_says_what_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(SOUND)

    mapping = read_label_mapping(tmp_path / "mapping.yaml", SOURCE, TARGET)

    assert mapping.to_target == {1: 2, 2: 1, 3: 1, 4: 0}
    assert mapping.unavailable == {"rectum": "none"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("discard: [heart]", ""), "heart: organ of the source is neither mapped nor discarded"),
        (("unavailable: {rectum: none}", ""), "rectum: organ of the dataset is neither mapped nor unavailable"),
        (("liver: [liver]", "liver: [lifer]"), "lifer: the source has no such organ; did you mean `liver`?"),
        (("kidney: [", "kydney: ["), "kydney: the dataset has no such organ; did you mean `kidney`?"),
        (("liver: [liver]", "liver: [liver, kidney_left]"), "kidney_left: a source must go to one target"),
        (("{rectum: none}", "{rectum: none, liver: x}"), "liver: is both mapped and unavailable"),
        (("liver: [liver]", "liver: []"), "map.liver: List should have at least 1 item"),
        (("[heart]", "other"), "discard: must be 'others' or a list such as [a, b], but it is 'other'"),
        (
            ("unavailable: {rectum: none}\ndiscard: [heart]", "discard: others"),
            "rectum: organ of the dataset is neither",
        ),
    ],
)
def test_an_unsound_label_mapping_is_refused(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(SOUND.replace(*change))

    with pytest.raises(UsageError) as caught:
        read_label_mapping(tmp_path / "mapping.yaml", SOURCE, TARGET)

    assert message in str(caught.value)


def test_others_discards_every_source_that_is_not_mapped(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(SOUND.replace("[heart]", "others").replace("kidney_left, ", ""))

    mapping = read_label_mapping(tmp_path / "mapping.yaml", SOURCE, TARGET)

    assert mapping.to_target == {1: 2, 2: 0, 3: 1, 4: 0}
