"""Rules that need neither torch nor nnU-Net: folds, label ids, options, and what `collect` refuses."""

from pathlib import Path

import numpy as np
import pytest
from nnunet_tool.cases import Prepared, assign_folds, read_prepared, write_prepared
from nnunet_tool.collect import Collected, segment
from nnunet_tool.foldrecord import FoldRecord
from nnunet_tool.labelids import LabelIds
from nnunet_tool.settings import read_plan_settings

from contract import Case, CaseError, ContractError, UsageError
from contract.manifest import load_manifest
from contract.volumes import read_image, write_image, write_labels

MANIFEST = load_manifest(Path(__file__).parents[3] / "containers" / "nnunet")


def prepared(folds: tuple[tuple[str, ...], ...], **found: tuple[int, ...]) -> Prepared:
    return Prepared("Dataset001_toy", "3d_fullres", {3: "liver", 7: "spleen"}, folds, found, {"z": "z: gone"})


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
    with pytest.raises(UsageError, match="must have at least 5 readable cases, but there are 4"):
        assign_folds(["a", "b", "c", "d"], seed=0)


def test_a_fold_is_trained_on_the_cases_of_the_others():
    found = prepared((("b",), ("a", "e"), ("c",), ("d",), ("f",)))

    assert found.training_cases(1) == ("b", "c", "d", "f")
    assert found.fold_of("e") == 1
    assert found.fold_of("unknown") is None
    assert found.splits()[1] == {"train": ["b", "c", "d", "f"], "val": ["a", "e"]}


def test_an_organ_is_absent_from_a_fold_where_only_its_own_cases_have_it():
    found = prepared((("a",), ("b",), ("c",), ("d",), ("e",)), a=(3, 7), b=(3,), c=(3,), d=(), e=(3,))

    assert found.absent_organs(0) == ("spleen",)
    assert found.absent_organs(1) == ()


def test_what_prepare_found_is_read_as_it_was_written(tmp_path: Path):
    found = prepared((("a",), ("b",), ("c",), ("d",), ("e",)), a=(3, 7), b=(3,), c=(3,), d=(), e=(3,))

    write_prepared(tmp_path, found)

    assert read_prepared(tmp_path) == found


def test_a_folder_that_prepare_did_not_write_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=f"{tmp_path}/cases.json: must be what the step `prepare` wrote"):
        read_prepared(tmp_path)


def test_label_ids_with_gaps_become_consecutive_and_come_back():
    ids = LabelIds((3, 7, 300))
    labels = np.array([[[0, 3], [7, 300]]], np.uint16)

    assert ids.to_nnunet(labels).tolist() == [[[0, 1], [2, 3]]]
    assert ids.to_dataset(ids.to_nnunet(labels)).tolist() == labels.tolist()
    assert ids.to_dataset(ids.to_nnunet(labels)).dtype == np.uint16
    assert LabelIds((3, 7)).to_dataset(np.array([0, 1, 2])).dtype == np.uint8


def test_an_organ_of_a_name_that_nnunet_reserves_is_an_organ_like_others():
    table = LabelIds((3, 7)).table({3: "ignore", 7: "spleen"})

    assert table == {"background": 0, "3 ignore": 1, "7 spleen": 2}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("patch", "32,32", "--patch must be auto or three numbers x,y,z, but it is '32,32'"),
        ("patch", "32,32,big", "--patch must be auto or whole numbers from 1 with commas between them"),
        ("features", "8", "--features must be auto or two stages at least, but it is '8'"),
        ("features", "8,0", "--features must be auto or whole numbers from 1 with commas between them"),
    ],
)
def test_an_option_that_is_no_list_of_numbers_is_refused(option: str, value: str, message: str):
    with pytest.raises(UsageError, match=message):
        read_plan_settings(MANIFEST.complete_options({option: value}))


# ------------------------------------------------------------------------------------------------------------- collect

FOLDS = (("a",), ("b",), ("c",), ("d",), ("e",))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    file = tmp_path / "b.nii.gz"
    write_image(file, np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([-1.0, -2.0, 3.0, 1.0]))
    return Case("b", read_image(file), None, {3: "liver", 7: "spleen"})


def collected(folder: Path, trained_on: dict[str, int]) -> Collected:
    records = {fold: (folder / f"fold-{fold}", FoldRecord(fold, trained_on, FOLDS[fold])) for fold in range(5)}
    return Collected(prepared(FOLDS), records)


def test_a_case_gets_the_labels_of_the_fold_that_held_it_out(tmp_path: Path, case: Case):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 0] = 7
    for fold in range(5):
        (tmp_path / f"fold-{fold}").mkdir()
    write_labels(tmp_path / "fold-1" / "b.nii.gz", labels, case.image)

    assert segment(collected(tmp_path, {"a": 2, "c": 1}), case).tolist() == labels.tolist()


def test_labels_of_a_model_that_was_trained_on_the_case_are_refused(tmp_path: Path, case: Case):
    with pytest.raises(ContractError, match="b: must be unknown to the model of fold-1, but it was trained on it"):
        segment(collected(tmp_path, {"a": 2, "b": 1}), case)


def test_a_case_that_was_set_aside_fails_with_the_reason(tmp_path: Path, case: Case):
    with pytest.raises(CaseError, match="^z: gone$"):
        segment(collected(tmp_path, {}), Case("z", case.image, None, case.organs))


def test_a_case_that_prepare_was_not_given_fails(tmp_path: Path, case: Case):
    with pytest.raises(CaseError, match="y: must be one of the cases of `prepare`, but is not"):
        segment(collected(tmp_path, {}), Case("y", case.image, None, case.organs))
