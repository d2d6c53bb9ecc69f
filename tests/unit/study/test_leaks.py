"""The leak guard: what is named, with which cases, and what `exclude_leaks` leaves out of the tests."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.chains import make_dataset
from helpers.planning import NamedCode

from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.study.file import Study, load_study
from coordinator.study.leaks import CERTAIN, NAMES_ALONE, Leak, find_leaks, leave_out_leaks
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.split import Split
from coordinator.tools.finding import find_tools

DEGRADED = "{name: degraded, tool: degrade, options: {target-dice: 0.8}}"
TRAIN = "train: {epochs: 3, holdout: 0.5}\n"


def load(folder: Path, datasets: str, further: str = "", generators: str = DEGRADED) -> Study:
    text = f"name: toy\ndatasets: [{datasets}]\ngenerators: [{generators}]\n{further}"
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml", find_tools())


def made_up(name: str, **scans: str) -> DatasetCheck:
    """A dataset of cases with these scans."""
    checks = {case: CaseCheck((), (), "i", "l", scan, (1,)) for case, scan in scans.items()}
    return DatasetCheck(name, {1: "liver"}, tuple(sorted(scans)), checks, {}, ())


def leaks_of(study: Study, *datasets: DatasetCheck) -> list[Leak]:
    return find_leaks(study, {dataset.name: dataset for dataset in datasets})


def test_a_study_without_shared_scans_and_public_names_has_no_leak(tmp_path: Path):
    study = load(tmp_path, "mine", TRAIN + "transfer: [yours]\n", f"medsam, stunet-small, {DEGRADED}")

    assert leaks_of(study, made_up("mine", a="1", b="2"), made_up("yours", a="3", b="4")) == []


def test_scans_of_a_target_that_a_base_dataset_has_are_named_with_their_cases(tmp_path: Path):
    study = load(tmp_path, "mine", TRAIN + "transfer: [yours]\n")

    (leak,) = leaks_of(study, made_up("mine", a="1", b="2", c="3"), made_up("yours", x="2", y="3", z="4"))

    assert (leak.about, leak.sure) == ("mine, yours", CERTAIN)
    assert leak.cases == ("yours/x = mine/b", "yours/y = mine/c")
    assert leak.sentence == (
        "2 scans are in both mine and yours. Networks that are pre-trained on mine are fine-tuned and tested on yours; "
        "there these scans are not held out, so no test meets them."
    )


def test_scans_that_two_base_datasets_share_spoil_no_test_but_are_named(tmp_path: Path):
    study = load(tmp_path, "mine, yours", TRAIN)

    (leak,) = leaks_of(study, made_up("mine", a="1", b="2"), made_up("yours", x="2", y="3"))

    assert leak.cases == ("yours/x = mine/b",)
    assert leak.sentence.startswith("1 scan is in both mine and yours. No network is trained on one and tested on")


def test_a_scan_that_a_dataset_has_twice_is_named(tmp_path: Path):
    (leak,) = leaks_of(load(tmp_path, "mine", TRAIN), made_up("mine", a="1", b="2", c="1"))

    assert (leak.about, leak.cases) == ("mine", ("mine/a = mine/c",))


def test_datasets_that_are_published_with_each_others_scans_are_named_though_no_scan_was_found(tmp_path: Path):
    study = load(tmp_path, "abdomenatlas10", TRAIN + "transfer: [word]\n")

    (leak,) = leaks_of(study, made_up("abdomenatlas10", a="1"), made_up("word", x="2"))

    assert (leak.about, leak.sure, leak.cases) == ("abdomenatlas10, word", NAMES_ALONE, ())
    assert leak.sentence.startswith("abdomenatlas10 is published with 120 scans of word (source: the list of cases")
    assert "In these folders, no scan was found in both; copies that were resampled" in leak.sentence
    assert leak.sentence.endswith("Networks that are pre-trained on abdomenatlas10 may know held-out cases of word.")


@pytest.mark.parametrize(
    ("dataset", "generator", "said"),
    [
        ("totalsegmentator", "totalseg-3mm", "totalseg was trained on totalsegmentator (source: the names of its weights"),
        ("totalsegmentator-v2", "stunet-small", "stunet was trained on totalsegmentator (source: the README of"),
        ("word", "medsam-lite", "What the weights of medsam were trained on is not known here (not stated for"),
        ("btcv", "voxtell", "What the weights of voxtell were trained on is not known here (190 public datasets"),
    ],
)  # fmt: skip
def test_what_a_generator_was_trained_on_is_named_or_said_to_be_unknown(
    tmp_path: Path, dataset: str, generator: str, said: str
):
    (leak,) = leaks_of(load(tmp_path, dataset, generators=generator), made_up(dataset, a="1"))

    assert leak.sentence.startswith(said)
    assert leak.sure == NAMES_ALONE


def test_a_generator_whose_training_sets_are_known_has_no_leak_with_other_datasets(tmp_path: Path):
    assert leaks_of(load(tmp_path, "word", generators="totalseg-3mm, nnunet"), made_up("word", a="1")) == []


def test_held_out_cases_that_networks_know_are_left_out_of_a_given_split():
    dataset = replace(
        made_up("mine", a="1", b="2", c="1", d="4", e="5", f="6"), groups={"b": "patient", "d": "patient"}
    )
    given = Split(("a", "b"), ("c", "d", "e", "f"))

    # c is the scan of a, d the patient of b, and another dataset has the scan of f.
    assert leave_out_leaks(given, dataset, Path("study.yaml"), {"f"}) == Split(("a", "b"), ("e",))


def test_a_case_on_both_sides_is_left_for_the_check_of_the_split_to_refuse():
    dataset = made_up("mine", a="1", b="2", c="1")

    assert leave_out_leaks(Split(("a", "c"), ("b", "c")), dataset, Path("study.yaml"), ()).holdout == ("b", "c")


def test_a_given_split_of_which_no_held_out_case_is_new_is_refused():
    with pytest.raises(UsageError, match=r"train.split of mine: .* none is left of 1: they are trained on the same"):
        leave_out_leaks(Split(("a",), ("c",)), made_up("mine", a="1", c="1"), Path("study.yaml"), ())


def test_with_exclude_leaks_a_plan_tests_on_the_other_held_out_cases_and_names_those_left_out(tmp_path: Path):
    # w and x of the target are c and d of the base dataset, whose own split holds out a copy of a training case.
    make_dataset(tmp_path / "data", "toy", cases=("a", "b", "c", "d"))
    make_dataset(tmp_path / "data", "toy", cases=("a2",))
    make_dataset(tmp_path / "data", "target", first=2, cases=("w", "x", "y", "z"))
    splits = "{toy: {train: [a, b], holdout: [a2, c, d]}, target: {train: [y], holdout: [w, z]}}"
    text = f"train: {{epochs: 3, split: {splits}}}\ntransfer: [target]\n"
    with pytest.raises(UsageError, match="a, a2 are the same scan; exclude one of them, or set `exclude_leaks: true`"):
        plan(load(tmp_path, "toy", text))

    about = plan(load(tmp_path, "toy", text + "exclude_leaks: true\n"))

    assert about["split"]["toy"] == {"train": ["a", "b"], "holdout": ["c", "d"]}
    assert about["split"]["target"] == {"train": ["y"], "holdout": ["z"]}
    left_out = {leak["about"]: leak["cases"] for leak in about["leaks"] if "left out of the tests" in leak["sentence"]}
    assert left_out == {"toy": ("toy/a2",), "target": ("target/w",)}


def plan(study: Study) -> dict:
    return make_plan(study, check_datasets(study), NamedCode()).about
