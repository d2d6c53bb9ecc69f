"""The label maps that come with tools, where one is looked for, and the organs that a comparison leaves out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract import weights, yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from coordinator.cli.dataset import dataset as dataset_commands
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.datasets.known import description_file, known_datasets
from coordinator.runners import Invocation
from coordinator.study.file import Generator, load_study
from coordinator.study.labelspaces import LabelSpace, label_space, read_label_map
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import Plan
from coordinator.tools.finding import Tool, find_tools

TOOLS = find_tools()
WITH_OWN_LABELS = [
    (name, variant)
    for name, tool in TOOLS.items()
    for variant, content in tool.manifest.variants.items()
    if content.labels != "from-dataset"
]
BASE_DATASETS = ("btcv", "word", "amos22", "abdomenct1k", "abdomenatlas10")
"""The paper's; SegTHOR and FLARE are fine-tuned on."""


def known(name: str) -> dict[int, str]:
    return yamlfiles.load(description_file(name), DatasetDescription).labels


def generator(tool: Tool, variant: str | None = None) -> Generator:
    return Generator(tool.name, tool, variant or tool.manifest.default_variant, {})


def names(tool: str, dataset: str) -> dict[str, str]:
    """Source organ -> target organ, without what is discarded."""
    source = TOOLS[tool].manifest.variant(TOOLS[tool].manifest.default_variant).labels
    assert source != "from-dataset"
    space = label_space(generator(TOOLS[tool]), known(dataset), Path(dataset))
    return {source[s]: known(dataset)[t] for s, t in space.to_target.items() if t}


@pytest.mark.parametrize("name", known_datasets())
def test_a_known_dataset_is_a_sound_description_of_that_name(name: str) -> None:
    description = yamlfiles.load(description_file(name), DatasetDescription)

    assert description.name == name
    assert all((description.licence, description.citation, description.source))
    assert list(description.labels) == list(range(1, len(description.labels) + 1))


def test_the_datasets_of_the_paper_are_known() -> None:
    counts = {name: len(known(name)) for name in known_datasets()}

    assert counts == {
        "abdomenatlas10": 9, "abdomenct1k": 4, "amos22": 15, "btcv": 13, "flare21": 4, "flare22": 13, "segthor": 4,
        "word": 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [("btcv", 3, 2), ("amos22", 3, 2), ("word", 3, 4), ("flare22", 13, 2), ("abdomenatlas10", 3, 4)],
)
def test_kidneys_are_on_their_side(name: str, left: int, right: int) -> None:
    assert (known(name)[left], known(name)[right]) == ("kidney_left", "kidney_right")


@pytest.mark.parametrize("name", known_datasets())
@pytest.mark.parametrize(("tool", "variant"), WITH_OWN_LABELS)
def test_every_tool_with_labels_of_its_own_has_a_sound_map_for_every_known_dataset(
    tool: str, variant: str, name: str
) -> None:
    file = TOOLS[tool].folder / "remaps" / f"{name}.yaml"

    space = label_space(generator(TOOLS[tool], variant), known(name), Path(name))

    assert file.is_file()
    assert set(space.to_target.values()) - {0} == {i for i, o in known(name).items() if o not in space.unavailable}


@pytest.mark.parametrize("name", known_datasets())
@pytest.mark.parametrize(("tool", "variant"), WITH_OWN_LABELS)
def test_no_side_is_swapped_and_no_organ_renamed(tool: str, variant: str, name: str) -> None:
    source, target = TOOLS[tool].manifest.variant(variant).labels, known(name)
    assert source != "from-dataset"

    space = label_space(generator(TOOLS[tool], variant), target, Path(name))

    for label, goal in space.to_target.items():
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


def test_a_map_of_the_users_own_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "segthor" / "remaps" / "totalseg.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "map: {heart: [heart, atrial_appendage_left], aorta: [aorta]}\n"
        "unavailable: {esophagus: not asked for, trachea: not asked for}\ndiscard: others\n"
    )

    space = label_space(generator(TOOLS["totalseg"]), known("segthor"), tmp_path / "segthor")

    assert {s: t for s, t in space.to_target.items() if t} == {51: 2, 61: 2, 52: 4}
    assert list(space.unavailable) == ["esophagus", "trachea"]


def test_equal_names_need_no_map(tmp_path: Path) -> None:
    space = label_space(generator(TOOLS["totalseg"]), {9: "liver", 4: "spleen"}, tmp_path / "mine")

    assert {s: t for s, t in space.to_target.items() if t} == {5: 9, 1: 4}
    assert len(space.to_target) == 117
    assert space.unavailable == {}


def test_labels_of_the_dataset_need_no_map(tmp_path: Path) -> None:
    space = label_space(generator(TOOLS["medsam"]), {9: "liver", 4: "tumour"}, tmp_path / "mine")

    assert space == LabelSpace({9: 9, 4: 4}, {})


def test_without_a_map_the_message_is_one_to_complete(tmp_path: Path) -> None:
    target = {1: "liver", 2: "bladder", 3: "lesion"}

    with pytest.raises(UsageError) as caught:
        label_space(generator(TOOLS["totalseg"]), target, tmp_path / "mine")

    own = tmp_path / "mine" / "remaps" / "totalseg.yaml"
    assert str(caught.value).startswith(f"{own}: totalseg has labels of its own")
    skeleton = str(caught.value).split("\n\n")[1]
    assert "  bladder: []  # one or more: gallbladder, urinary_bladder\n  lesion: []  # one or more\n" in skeleton
    own.parent.mkdir(parents=True)
    own.write_text(skeleton)
    with pytest.raises(UsageError, match=r"map\.bladder: .* at least 1 item.*\n.*map\.lesion: "):
        label_space(generator(TOOLS["totalseg"]), target, tmp_path / "mine")
    own.write_text(
        skeleton.replace("bladder: []", "bladder: [urinary_bladder]")
        .replace("  lesion: []  # one or more\n", "")
        .replace("unavailable: {}", "unavailable: {lesion: none}")
    )
    space = label_space(generator(TOOLS["totalseg"]), target, tmp_path / "mine")
    assert {s: t for s, t in space.to_target.items() if t} == {5: 1, 21: 2}


def test_a_known_dataset_with_other_names_is_told_which_to_use(tmp_path: Path) -> None:
    target = {i: "bladder" if organ == "urinary_bladder" else organ for i, organ in known("word").items()}

    with pytest.raises(UsageError) as caught:
        label_space(generator(TOOLS["totalseg"]), target, tmp_path / "word")

    assert "bladder: organ of the dataset is neither mapped nor unavailable" in str(caught.value)
    assert "as `coordinator dataset describe word` does" in str(caught.value)
    assert str(tmp_path / "word" / "remaps" / "totalseg.yaml") in str(caught.value)


def test_describe_prints_a_description_that_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset_commands.main(["describe", "word"], standalone_mode=False)

    (tmp_path / "dataset.yaml").write_text(capsys.readouterr().out)
    assert yamlfiles.load(tmp_path / "dataset.yaml", DatasetDescription).labels[13] == "rectum"


def test_describe_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="no known dataset 'amos'; did you mean `amos22`"):
        dataset_commands.main(["describe", "amos"], standalone_mode=False)


class NamedCode:
    """A runner that runs nothing."""

    runtime = "process"

    def code_id(self, tool: Tool) -> str:
        return "as it is"

    def run(self, invocation: Invocation) -> int:
        raise AssertionError("planning runs no tool")

    def build(self, tool: Tool) -> None:
        raise AssertionError("planning builds no tool")


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Plans a comparison on the paper's base datasets; weights are there by name alone."""

    def make(*generators: str) -> Plan:
        text = f"name: paper\ndatasets: [{', '.join(BASE_DATASETS)}]\ngenerators: [{', '.join(generators)}]\n"
        (tmp_path / "study.yaml").write_text(text)
        study = load_study(tmp_path / "study.yaml", TOOLS)
        for each in study.generators:
            pretend_weights(each, study.weights)
        case = {"a": CaseCheck((), (), image_sha256="i", labels_sha256="l")}
        checked = {name: DatasetCheck(name, known(name), ("a",), case, {}, ()) for name in BASE_DATASETS}
        return make_plan(study, checked, NamedCode())

    return make


def pretend_weights(each: Generator, root: Path) -> None:
    folder = root / each.tool.name
    for entry in each.tool.manifest.variant(each.variant).weights:
        if entry.package is None:
            files = [f"{entry.file}/plans.json"] if entry.archive else [entry.file]
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).touch()
            weights.record_sums(folder, dict.fromkeys(files, "0" * 64))


def test_the_papers_comparison_loses_prostate_of_amos_and_rectum_of_word_and_nothing_else(
    plan: Callable[..., Plan],
) -> None:
    about = plan("nnunet", "medsam", "totalseg", "stunet-small", "stunet-base", "stunet-large", "stunet-huge").about

    assert {name: list(organs) for name, organs in about["excluded_labels"].items()} == {
        "btcv": [], "word": ["rectum"], "amos22": ["prostate_or_uterus"], "abdomenct1k": [], "abdomenatlas10": [],
    }  # fmt: skip
    assert about["common_labels"] == {
        "btcv": list(range(1, 14)), "word": [*range(1, 13), 14, 15, 16], "amos22": list(range(1, 15)),
        "abdomenct1k": [1, 2, 3, 4], "abdomenatlas10": list(range(1, 10)),
    }  # fmt: skip


def test_a_class_is_left_out_of_a_comparison_and_stays_in_every_label_version_that_has_it(
    plan: Callable[..., Plan],
) -> None:
    both, alone = plan("medsam", "totalseg"), plan("nnunet", "medsam")

    remapped = both.step("word/2-labels/medsam").settings["to_target"]
    assert remapped["13"] == 13
    assert 13 not in both.step("word/2-labels/totalseg").settings["to_target"].values()
    assert alone.about["excluded_labels"]["word"] == {}
    assert 13 in alone.about["common_labels"]["word"]
    assert both.step("word/2-labels/medsam").fingerprint == alone.step("word/2-labels/medsam").fingerprint


def test_no_map_sends_one_source_to_two_targets(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("map: {a: [x], b: [x]}\ndiscard: others\n")

    with pytest.raises(UsageError, match="x: a source must go to one target, but it is named twice"):
        read_label_map(tmp_path / "map.yaml", {1: "x", 2: "y"}, {1: "a", 2: "b"})
