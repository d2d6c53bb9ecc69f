"""Label versions of the paper's datasets: which organs a comparison leaves out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.planning import NamedCode

from contract import weights, yamlfiles
from contract.datasets import DatasetDescription
from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.datasets.known import description_file
from coordinator.study.file import load_study
from coordinator.study.generators import Generator
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import Plan
from coordinator.tools.finding import find_tools

TOOLS = find_tools()
BASE_DATASETS = ("btcv", "word", "amos22", "abdomenct1k", "abdomenatlas10")
"""The paper's; SegTHOR and FLARE are fine-tuned on."""


def known(name: str) -> dict[int, str]:
    return yamlfiles.load(description_file(name), DatasetDescription).labels


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Plans a comparison on the paper's base datasets; weights are there by name alone."""

    def make(*generators: str, put: Callable[[Generator, Path], None] = pretend_weights) -> Plan:
        text = f"name: paper\ndatasets: [{', '.join(BASE_DATASETS)}]\ngenerators: [{', '.join(generators)}]\n"
        (tmp_path / "study.yaml").write_text(text)
        study = load_study(tmp_path / "study.yaml", TOOLS)
        for each in study.generators:
            put(each, study.weights)
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


def put_by_hand(each: Generator, root: Path) -> None:
    pretend_weights(each, root)
    (root / each.tool.name / weights.SUMS).unlink()


def put_as_zip(each: Generator, root: Path) -> None:
    (root / each.tool.name).mkdir(parents=True, exist_ok=True)
    for entry in each.tool.manifest.variant(each.variant).weights:
        (root / each.tool.name / f"{entry.file}.zip").touch()


def put_nothing(each: Generator, root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("generator", "put", "state"),
    [
        (
            "stunet-small",
            put_nothing,
            r"small_ep4k\.model: .* but are not; run `coordinator weights fetch stunet-small`",
        ),
        (
            "stunet-small",
            put_by_hand,
            r"small_ep4k\.model: .* but were put there by hand, and not checked: SHA256SUMS has",
        ),
        ("totalseg-6mm", put_as_zip, r"Dataset298_\S+: .* but are at \S+/totalseg/Dataset298_\S+\.zip; run"),
    ],
)
def test_weights_that_were_put_there_by_hand_are_not_called_missing(
    plan: Callable[..., Plan], generator: str, put: Callable[[Generator, Path], None], state: str
) -> None:
    with pytest.raises(UsageError, match=state):
        plan(generator, put=put)
