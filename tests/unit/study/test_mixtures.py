"""Mixtures of label versions: which are made of what, and what can't be mixed."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.labelsets import EXPERT, make_relabelled_phantom
from helpers.planning import NamedCode

from contract.datasets import case_names
from contract.errors import UsageError
from coordinator.engine.execute import execute
from coordinator.study.file import load_study
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import PLAN, Plan, plan_text
from coordinator.tools.finding import find_tools

FOLDERS = {"expert": EXPERT, "second": "second", "third": "third"}
TRAIN = "train: {seeds: [0, 1], holdout: 0.25}\n"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The folder of a dataset of eight cases, which an expert and two others have labelled too."""
    folder = tmp_path / "data" / "toy"
    make_relabelled_phantom(folder, cases=8, corrected=8, shape=(16, 16, 8))
    for name in ("second", "third"):
        shutil.copytree(folder / EXPERT, folder / name)
    return folder


@pytest.fixture
def plan(toy: Path) -> Callable[..., Plan]:
    def make(mix: str, train: str = TRAIN, reference: str = "expert", sets: Sequence[str] = tuple(FOLDERS)) -> Plan:
        file = toy.parents[1] / "study.yaml"
        versions = ", ".join(f"{{name: {name}, labels: {FOLDERS[name]}}}" for name in sets)
        file.write_text(
            f"name: s\ndatasets: [toy]\nversions: [{versions}]\nreference: {reference}\nmix: {{{mix}}}\n{train}",
            encoding="utf-8",
        )
        return make_plan(load_study(file, find_tools()), runner=NamedCode())

    return make


def test_a_draw_is_made_for_each_seed_and_other_rules_make_one_mixture_for_all(plan: Callable[..., Plan]):
    made = plan("name: fix, better: expert, shares: [0.5], by: [random, worst, worklist]")

    mixes = {step.label_version: step for step in made.steps if step.kind == "mix"}
    assert list(mixes) == ["fix-random-50-draw-0", "fix-random-50-draw-1", "fix-worst-50", "fix-worklist-50"]
    assert [step.settings["count"] for step in mixes.values()] == [3] * 4
    assert [step.settings.get("seed") for step in mixes.values()] == [0, 1, None, None]
    assert mixes["fix-worst-50"].settings["ranking"] == "datasets/toy/3-scores/base.parquet"
    networks = [step.id for step in made.steps if "/5-models/fix" in step.id]
    assert networks == [
        f"toy/5-models/{name}" for name in (
            "fix-random-50-draw-0/seed-0", "fix-random-50-draw-1/seed-1", "fix-worst-50/seed-0", "fix-worst-50/seed-1",
            "fix-worklist-50/seed-0", "fix-worklist-50/seed-1",
        )
    ]  # fmt: skip
    assert set(made.about["versions"]["toy"]) == {"base", "second", "third"}, "mixtures are no versions of the verdict"


def test_the_worklist_knows_neither_the_better_labels_nor_the_reference(plan: Callable[..., Plan]):
    made = plan("name: fix, better: expert, shares: [0.5], by: worklist")

    ranking = made.step("toy/3-agreement-before-fix")
    assert list(ranking.settings["versions"]) == ["base", "second", "third"]
    assert made.step("toy/2-labels/fix-worklist-50").needs[-1] == ranking.id


def test_a_larger_share_holds_the_cases_of_a_smaller_one(plan: Callable[..., Plan], tmp_path: Path):
    made = plan("name: fix, better: expert, shares: [0.25, 0.5, 0.75], by: [random, worst]")
    run = tmp_path / "run"
    run.mkdir()
    (run / PLAN).write_text(plan_text(made))
    chosen = {}
    for step in made.steps:
        if step.kind in {"labels", "mix"} or step.id == "toy/3-scores/base":
            assert execute(run, step.id) == 0, (run / ".steps" / f"{step.id}.failed").read_text()
        if step.kind == "mix":
            chosen[step.label_version] = set(json.loads((run / step.output / "run.json").read_text())["better_cases"])

    train = made.about["split"]["toy"]["train"]
    for name in ("random-{}-draw-0", "random-{}-draw-1", "worst-{}"):
        small, half, large = (chosen[f"fix-{name.format(percent)}"] for percent in (25, 50, 75))
        assert (len(small), len(half), len(large)) == (2, 3, 4)
        assert small < half < large < set(train)
    folder = run / "datasets/toy/2-labels"
    assert case_names(folder / "fix-worst-50") == train
    for case in train:
        source = "expert" if case in chosen["fix-worst-50"] else "base"
        assert (folder / "fix-worst-50" / f"{case}.nii.gz").read_bytes() == (
            folder / source / f"{case}.nii.gz"
        ).read_bytes()
    assert chosen["fix-random-50-draw-0"] != chosen["fix-random-50-draw-1"]


def test_each_fold_mixes_its_own_training_cases(plan: Callable[..., Plan]):
    made = plan("name: fix, better: expert, shares: [0.5]", train="train: {seeds: [0], folds: 4}\n")

    mixes = [step for step in made.steps if step.kind == "mix"]
    assert [step.id for step in mixes] == [f"toy/folds/{fold}/2-labels/fix-random-50-draw-0" for fold in range(4)]
    assert [step.settings["cases"] for step in mixes] == [fold["train"] for fold in made.about["folds"]["toy"]]
    assert all(step.settings["better"] == "datasets/toy/2-labels/expert" for step in mixes)


@pytest.mark.parametrize(
    ("mix", "more", "said"),
    [
        ("better: expret", {}, "mix: better: there is no label version 'expret'; did you mean `expert`"),
        ("better: base", {}, "mix: better and worse must be two label versions, but both are 'base'"),
        ("better: expert, shares: [0.05]", {}, "each must be some of the 6 cases that networks on toy are trained on, but 0.05 is none"),
        ("better: expert, shares: [0.95]", {}, "but 0.95 is all of them; give others"),
        ("better: expert, shares: [0.125]", {}, "must be different shares of 0.01 to 0.99 in whole percent"),
        ("better: expert, shares: [0.5, 0.5]", {}, "must be different shares"),
        ("better: expert, by: best", {}, "random.*worst.*worklist"),
        ("better: expert, by: [random, random]", {}, "must be different"),
        ("better: expert, seeds: [7]", {}, r"mix: seeds: must be among `train.seeds`, \[0, 1\], but \[7\] are not"),
        ("better: expert", {"train": ""}, "mix: shows what networks gain on mixed labels, but there is no `train` section"),
        ("better: second, by: worst", {}, "one of the two must be the reference, but that is expert"),
        ("better: second, by: worklist", {}, "it needs at least 2 others, but has third"),
    ],
)  # fmt: skip
def test_what_can_not_be_mixed_is_refused_in_one_message(plan: Callable[..., Plan], mix: str, more: dict, said: str):
    with pytest.raises(UsageError, match=said):
        plan(f"name: fix, {mix}", **more)


@pytest.mark.parametrize("score", ["empty: word", "tolerance_mm: 2", "also_mm: [3]", "distances: true"])
def test_what_changes_no_dice_redoes_no_mixture(plan: Callable[..., Plan], score: str):
    """Another convention or tolerance trained all networks on mixtures again."""
    mix = "name: fix, better: expert, shares: [0.5], by: [random, worst, worklist]"

    before, after = plan(mix), plan(mix, train=f"{TRAIN}score: {{{score}}}\n")

    def fingerprints(made: Plan) -> list[str]:
        return [step.fingerprint for step in made.steps if step.kind == "mix" or "/5-models/fix" in step.id]

    assert fingerprints(before) == fingerprints(after)


def test_the_worklist_knows_no_labels_that_were_made_from_the_better_ones(plan: Callable[..., Plan]):
    """Tools are shown the dataset's own labels: where these are the better ones, what was made from them is left out."""
    generators = "generators: [nnunet, {name: by-hand, tool: degrade}]\n"

    with pytest.raises(UsageError, match="so without base, by-hand, nnunet; it needs at least 2 others, but has none"):
        plan(
            "name: fix, better: base, worse: second, by: worklist",
            train=TRAIN + generators,
            reference="base",
            sets=["second"],
        )
