"""Label versions of the paper's datasets: which organs a comparison leaves out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.planning import NamedCode

from contract import weights, yamlfiles
from contract.datasets import DatasetDescription
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.datasets.known import description_file
from coordinator.study.file import Generator, load_study
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
