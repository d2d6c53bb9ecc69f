from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nnunet_tool.cases import Prepared
from nnunet_tool.collect import Collected, refuse_trained_on_held_out, segment
from nnunet_tool.foldrecord import FoldRecord

from contract import Case, CaseError, ContractError
from contract.volumes import read_image, write_image, write_labels

FOLDS = (("a",), ("b",), ("c",), ("d",), ("e",))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    file = tmp_path / "b.nii.gz"
    write_image(file, np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([-1.0, -2.0, 3.0, 1.0]))
    return Case("b", read_image(file), None, {3: "liver", 7: "spleen"})


def make_collected(folder: Path, trained_on: dict[str, int]) -> Collected:
    records = {fold: (folder / f"fold-{fold}", FoldRecord(fold, trained_on, FOLDS[fold])) for fold in range(5)}
    prepared = Prepared("Dataset001_toy", "3d_fullres", {3: "liver", 7: "spleen"}, FOLDS, {}, {"z": "z: gone"})
    return Collected(prepared, records)


def test_a_case_gets_the_labels_of_the_fold_that_held_it_out(tmp_path: Path, case: Case):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 0] = 7
    for fold in range(5):
        (tmp_path / f"fold-{fold}").mkdir()
    write_labels(tmp_path / "fold-1" / "b.nii.gz", labels, case.image)

    assert segment(make_collected(tmp_path, {"a": 2, "c": 1}), case).tolist() == labels.tolist()


def test_labels_of_a_model_that_was_trained_on_the_case_are_refused(tmp_path: Path, case: Case):
    with pytest.raises(ContractError, match="b: must be unknown to the model of fold-1, but it was trained on it"):
        segment(make_collected(tmp_path, {"a": 2, "b": 1}), case)


def test_a_case_that_was_set_aside_fails_with_the_reason(tmp_path: Path, case: Case):
    with pytest.raises(CaseError, match="^z: gone$"):
        segment(make_collected(tmp_path, {}), Case("z", case.image, None, case.organs))


def test_a_case_that_prepare_was_not_given_fails(tmp_path: Path, case: Case):
    with pytest.raises(CaseError, match="y: must be one of the cases of `prepare`, but is not"):
        segment(make_collected(tmp_path, {}), Case("y", case.image, None, case.organs))


def test_a_network_that_was_trained_on_a_case_that_the_study_holds_out_is_refused(tmp_path: Path):
    """Whichever fold labels that case: its labels would have reached the labels of training cases."""
    prepared = replace(make_collected(tmp_path, {}).prepared, apart=(("t",), (), (), (), ()))
    folds = {fold: (tmp_path, FoldRecord(fold, {"t": 1} if fold == 3 else {}, FOLDS[fold])) for fold in range(5)}

    with pytest.raises(
        ContractError, match="t: must be unknown to all networks, .* that of fold-3 was trained on them"
    ):
        refuse_trained_on_held_out(prepared, folds)
