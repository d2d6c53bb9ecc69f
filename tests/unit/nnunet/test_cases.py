from dataclasses import replace
from pathlib import Path

import pytest
from nnunet_tool.cases import Prepared, assign_folds, read_prepared, share_out, write_prepared

from contract import UsageError


def make_prepared(folds: tuple[tuple[str, ...], ...], **ids_of_cases: tuple[int, ...]) -> Prepared:
    return Prepared("Dataset001_toy", "3d_fullres", {3: "liver", 7: "spleen"}, folds, ids_of_cases, {"z": "z: gone"})


def test_every_case_is_held_out_of_one_fold_and_sizes_differ_by_one_at_most():
    names = [f"case_{i:02d}" for i in range(13)]

    folds = assign_folds(names, seed=0)

    assert sorted(case for held in folds for case in held) == names
    assert sorted(len(held) for held in folds) == [2, 2, 3, 3, 3]


def test_folds_depend_on_names_and_seed_and_not_on_the_order_they_come_in():
    names = [f"case_{i:02d}" for i in range(13)]

    assert assign_folds(names[::-1], seed=0) == assign_folds(names, seed=0)
    assert assign_folds(names, seed=1) != assign_folds(names, seed=0)


def test_fewer_than_five_cases_are_refused_with_their_number():
    with pytest.raises(UsageError, match="must have at least 5 readable cases, but there are 4 to train on"):
        assign_folds(["a", "b", "c", "d"], seed=0)


def test_a_fold_is_trained_on_the_cases_of_the_others():
    dealt = make_prepared((("b",), ("a", "e"), ("c",), ("d",), ("f",)))

    assert dealt.training_cases(1) == ("b", "c", "d", "f")
    assert dealt.fold_of("e") == 1
    assert dealt.fold_of("unknown") is None
    assert dealt.splits()[1] == {"train": ["b", "c", "d", "f"], "val": ["a", "e"]}


def test_an_organ_is_absent_from_a_fold_where_only_its_own_cases_have_it():
    dealt = make_prepared((("a",), ("b",), ("c",), ("d",), ("e",)), a=(3, 7), b=(3,), c=(3,), d=(), e=(3,))

    assert dealt.absent_organs(0) == ("spleen",)
    assert dealt.absent_organs(1) == ()


def test_what_prepare_wrote_is_read_as_it_was(tmp_path: Path):
    dealt = make_prepared((("a",), ("b",), ("c",), ("d",), ("e",)), a=(3, 7), b=(3,), c=(3,), d=(), e=(3,))

    write_prepared(tmp_path, dealt)

    assert read_prepared(tmp_path) == dealt


def test_a_folder_that_prepare_did_not_write_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=f"{tmp_path}/cases.json: must be what the step `prepare` wrote"):
        read_prepared(tmp_path)


def test_held_out_cases_are_shared_out_and_trained_on_by_no_fold(tmp_path: Path):
    own = make_prepared((("a",), ("b",), ("c",), ("d",), ("e",)), a=(3,), b=(3,), c=(3,), d=(3,), e=(3,))
    dealt = replace(own, apart=share_out(["w", "u", "v", "x", "y", "t"]))

    assert dealt.apart == (("t", "y"), ("u",), ("v",), ("w",), ("x",))
    assert dealt.labelled_cases(0) == ("a", "t", "y") and dealt.fold_of("y") == 0
    assert dealt.training_cases(0) == ("b", "c", "d", "e")
    assert dealt.splits() == own.splits()
    write_prepared(tmp_path, dealt)
    assert read_prepared(tmp_path) == dealt
