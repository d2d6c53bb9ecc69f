"""Splits of the user: an official one, a fold of nnU-Net's, cases in the study file; and those that can judge no network."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.study.givensplit import find_unused, read_given_split, use_given_split
from coordinator.study.settings import GivenSplit
from coordinator.study.split import Split

FOLDS = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["a", "c"], "val": ["b"]}]


def check(**cases: CaseCheck) -> DatasetCheck:
    """Cases a to e with a liver each, unless they are given."""
    checks = {case: CaseCheck((), (), "i", "l", case, (1,)) for case in "abcde"} | cases
    sound = tuple(case for case, about in checks.items() if not about.errors)
    return DatasetCheck("toy", {1: "liver", 2: "spleen"}, sound, checks, {"gone": "no contrast"}, ())


def test_a_split_is_given_by_cases_by_an_official_file_and_by_a_fold_of_nnunet(tmp_path: Path):
    (tmp_path / "official.json").write_text('{"train": ["a", "b"], "holdout": ["c"], "version": 2}')
    (tmp_path / "splits_final.json").write_text(json.dumps(FOLDS))

    by_cases = read_given_split(GivenSplit(train=("a", "b"), holdout=("c",)), tmp_path)
    by_file = read_given_split(GivenSplit(file="official.json"), tmp_path)
    by_fold = read_given_split(GivenSplit(file="splits_final.json", fold=1), tmp_path)

    assert by_cases == by_file == Split(("a", "b"), ("c",))
    assert by_fold == Split(("a", "c"), ("b",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold"),
        ("[]", "must hold a split, but holds an empty list"),
        ("5", "must hold"),
        ('{"train": ["a"]}', "must hold"),
        ('{"train": ["a"], "holdout": []}', "each side must be a list of names, and not empty"),
        ('{"train": "a", "holdout": ["b"]}', "each side must be a list of names"),
        ('{"train": [1], "holdout": ["b"]}', "each side must be a list of names"),
        (json.dumps(FOLDS), r"holds 2 folds, .* choose it, as `split: {file: s\.json, fold: 0}`"),
        ("[" * 9999, "must hold"),
    ],
)
def test_a_file_that_holds_no_split_is_named(tmp_path: Path, content: str, said: str):
    (tmp_path / "s.json").write_text(content)

    with pytest.raises(UsageError, match=said) as raised:
        read_given_split(GivenSplit(file="s.json"), tmp_path)

    assert str(raised.value).startswith(f"{tmp_path / 's.json'}: ")


def test_a_file_that_is_not_there_a_pipe_and_a_fold_that_is_not_there_are_named(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "splits_final.json").write_text(json.dumps(FOLDS))

    for name, fold, said in (
        ("none.json", None, "No such file"),
        ("pipe.json", None, "named pipe"),
        ("splits_final.json", 2, "must hold fold 2, but holds 2, counted from 0"),
    ):
        with pytest.raises(UsageError, match=said):
            read_given_split(GivenSplit(file=name, fold=fold), tmp_path)


def test_cases_that_cannot_be_used_are_left_out_and_those_on_neither_side_are_known(tmp_path: Path):
    dataset = check(b=CaseCheck(("unreadable",), ()))
    split = Split(("a", "b", "gone"), ("d", "c"))

    assert use_given_split(split, dataset, tmp_path / "study.yaml") == Split(("a",), ("c", "d"))
    assert find_unused(split, dataset) == ["e"]


@pytest.mark.parametrize(
    ("split", "dataset", "said"),
    [
        (Split(("a", "bb"), ("c",)), check(), "there is no case 'bb'; did you mean `b`?"),
        (Split(("a", "b"), ("b", "c")), check(), "a case must be on one side, but on both are b"),
        (
            Split(("a",), ("b", "gone")),
            check(b=CaseCheck(("unreadable",), ())),
            "holdout: must have a case that can be used, but all are excluded or set aside: b, gone",
        ),
        (
            Split(("a", "b"), ("c",)),
            check(c=CaseCheck((), (), "i", "l", "a", (1,))),
            "one scan must be on one side, but a, c are the same scan; exclude one of them",
        ),
        (
            Split(("a", "b"), ("c",)),
            check(c=CaseCheck((), (), "i", "l", "c", (1, 2))),
            "spleen: must be in a case of `train`, but only held-out cases have it",
        ),
        (
            Split(("a", "b"), ("c",)),
            replace(check(), groups={"a": "patient", "c": "patient"}),
            "networks would be trained on a and tested on c; move them",
        ),
        (  # b is on neither side, but is the patient of a and the scan of c
            Split(("a",), ("c",)),
            replace(check(c=CaseCheck((), (), "i", "l", "b", (1,))), groups={"a": "patient", "b": "patient"}),
            "networks would be trained on a and tested on c; move them",
        ),
        (
            Split(("a",), ("d", "e")),
            check(),
            "networks are trained on other datasets with the scans of e; hold out others",
        ),
    ],
)
def test_a_split_that_can_judge_no_network_is_refused(split: Split, dataset: DatasetCheck, said: str):
    with pytest.raises(UsageError) as raised:
        use_given_split(split, dataset, Path("study.yaml"), never_held_out={"e"})

    head, *lines = str(raised.value).splitlines()
    assert said in (lines or [head])[0]
    assert head.startswith("study.yaml: train.split of toy: ")
