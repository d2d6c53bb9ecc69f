"""Defects of files, grids and intensities that are planted into one case, on phantoms of three fields of view."""

from pathlib import Path

import pytest
from helpers.auditfiles import FIELDS, PLANTED, Clean, audit_files, kinds
from helpers.filedefects import DEFECTS, Defect

from contract.datasets import open_dataset
from coordinator.datasets.phantom import make_phantom


@pytest.fixture(scope="module", params=sorted(FIELDS))
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return Clean.make(tmp_path_factory.mktemp("clean") / request.param, request.param)


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_planted_defect_is_found_in_its_case_and_nothing_else(name: str, clean: Clean, tmp_path: Path) -> None:
    defect: Defect = DEFECTS[name]

    found = clean.audit_with(tmp_path / "audited", defect.change)

    assert kinds(found) == {(kind, PLANTED) for kind in defect.expected(clean.field)}
    assert all(finding.text and finding.advice and not finding.text.endswith(".") for finding in found)


def test_a_clean_dataset_has_no_findings(clean: Clean) -> None:
    assert audit_files(clean.dataset) == []


@pytest.mark.parametrize(("seed", "shape"), [(0, (64, 54, 16)), (7, (48, 40, 20))])
def test_a_clean_phantom_in_all_orientations_has_no_findings(
    seed: int, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    make_phantom(tmp_path / "phantom", cases=8, seed=seed, shape=shape)  # one is oblique, one has a qform only

    assert audit_files(open_dataset(tmp_path, "phantom")) == []
