import ast
import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.auditdefects import DEFECTS, HARMLESS, Defect
from helpers.auditphantoms import CASES, FIELDS, Phantom, draw
from pydantic import TypeAdapter

from contract import volumes
from contract.grids import inverse_orientation, orient, orient_grid
from coordinator.datasets.audit.anatomy import organs
from coordinator.datasets.audit.anatomy.organs import CaseOrgans, judge_organs, measure_organs
from coordinator.datasets.audit.findings import Finding, Weight

# HU that contrast adds in the portal venous phase, and how the arterial phase differs from it.
CONTRAST = {
    "liver": (55, -35), "spleen": (75, 20), "kidney_right": (150, -20), "kidney_left": (150, -20), "pancreas": (60, 10),
    "adrenal_gland_right": (40, 10), "adrenal_gland_left": (40, 10), "aorta": (110, 200), "heart": (100, 200),
    "inferior_vena_cava": (100, -60), "portal_vein": (110, -80),
}  # fmt: skip


@cache
def measure(field: str, index: int) -> CaseOrgans:
    phantom = draw(field, index)
    return measure_organs(phantom.labels, phantom.volume(), phantom.organs)


def measure_all(field: str) -> dict[str, CaseOrgans]:
    return {f"case_{index}": measure(field, index) for index in range(CASES)}


def plant(defect: Defect, phantom: Phantom) -> Phantom:
    """The case with the defect; it must differ from the sound one, or the defect was none."""
    changed = phantom.copy()
    changed = defect.plant(changed) or changed
    differs = changed.labels.shape != phantom.labels.shape or (changed.labels != phantom.labels).any()
    assert differs or (changed.hu != phantom.hu).any()
    return changed


def describe(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return sorted((finding.kind, finding.case, finding.organ) for finding in findings)


@pytest.mark.parametrize("field", FIELDS)
def test_sound_cases_give_no_finding(field: str):
    assert judge_organs(measure_all(field), FIELDS[field].labels) == []


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_in_its_case_and_organ_and_nothing_else_is(name: str, field: str):
    defect, victim = DEFECTS[name], list(DEFECTS).index(name) % CASES
    phantom = plant(defect, draw(field, victim))
    measures = measure_all(field) | {f"case_{victim}": measure_organs(phantom.labels, phantom.volume(), phantom.organs)}

    findings = judge_organs(measures, FIELDS[field].labels)

    right = [
        f for f in findings if (f.kind, f.case, f.organ) == (defect.kind, f"case_{victim}", defect.organ_of(field))
    ]
    others = [
        f for f in findings if f not in right and (f.kind not in defect.consequences or f.case != f"case_{victim}")
    ]
    assert len(right) == 1, describe(findings)
    assert describe(others) == []
    assert all(
        "e+" not in f.text and f.text[-1] != "." and f.advice and f.number is not None and f.unit for f in findings
    )
    assert right[0].place is not None
    assert all(0 <= v < n for v, n in zip(right[0].place.voxel, phantom.labels.shape, strict=True))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_annotators_and_patients_differ_by_gives_no_finding(name: str, field: str):
    victim = list(HARMLESS).index(name)
    phantom = plant(Defect(HARMLESS[name], "none"), draw(field, victim))
    measures = measure_all(field) | {f"case_{victim}": measure_organs(phantom.labels, phantom.volume(), phantom.organs)}

    assert judge_organs(measures, FIELDS[field].labels) == []


def test_every_kind_of_finding_is_planted():
    package = Path(organs.__file__).parent
    kinds = {
        node.args[0].value
        for file in package.glob("judge*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Finding"
        and isinstance(node.args[0], ast.Constant)
    }

    assert kinds | {"upside-down", "back-to-front"} == {defect.kind for defect in DEFECTS.values()}


@pytest.mark.parametrize("field", FIELDS)
def test_parts_of_a_long_scan_give_no_finding(field: str):
    random = np.random.default_rng(5)
    measures = {}
    for index in range(2 * CASES):
        phantom = draw(field, index)
        length = phantom.labels.shape[2]
        first = int(random.integers(0, length - 24))
        last = int(random.integers(first + 20, length))
        affine = phantom.affine.copy()
        affine[:3, 3] += affine[:3, 2] * first
        part = replace(
            phantom, labels=phantom.labels[:, :, first:last], hu=phantom.hu[:, :, first:last].copy(), affine=affine
        )
        measures[f"case_{index}"] = measure_organs(part.labels, part.volume(), part.organs)

    assert judge_organs(measures, FIELDS[field].labels) == []


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("phases", [(-1, 0, 0), (0, 1, 0), (-1, 1, 0)], ids=["native", "arterial", "both"])
def test_other_contrast_phases_give_no_finding(field: str, phases: tuple[int, ...]):
    measures = measure_all(field)
    for index, phase in enumerate(phases):
        phantom = draw(field, index).copy()
        for organ, (portal, arterial) in CONTRAST.items():
            if organ in phantom.organs.values():
                phantom.hu[phantom.where(organ)] += np.int16(arterial if phase > 0 else phase * portal)
        measures[f"case_{index}"] = measure_organs(phantom.labels, phantom.volume(), phantom.organs)

    assert judge_organs(measures, FIELDS[field].labels) == []


def test_contrast_in_the_bladder_is_no_finding():
    phantom = draw("trunk", 4).copy()
    phantom.hu[phantom.where("urinary_bladder")] += 500
    measures = measure_all("trunk") | {"case_4": measure_organs(phantom.labels, phantom.volume(), phantom.organs)}

    assert judge_organs(measures, phantom.organs) == []


@pytest.mark.parametrize(("organ", "weight"), [("gallbladder", Weight.ODD), ("duodenum", Weight.SUSPECT)])
def test_an_organ_that_surgery_removes_may_be_absent(organ: str, weight: Weight):
    phantom = draw("abdomen", 6).copy()
    phantom.labels[phantom.where(organ)] = 0
    measures = measure_all("abdomen") | {"case_6": measure_organs(phantom.labels, phantom.volume(), phantom.organs)}

    (finding,) = judge_organs(measures, phantom.organs)

    assert (finding.kind, finding.case, finding.organ, finding.weight) == ("organ-absent", "case_6", organ, weight)


def test_a_pair_that_is_swapped_in_all_cases_is_one_finding_about_the_label_table():
    names = {"kidney_left": "kidney_right", "kidney_right": "kidney_left"}
    table = {i: names.get(organ, organ) for i, organ in FIELDS["abdomen"].labels.items()}

    (finding,) = judge_organs(measure_all("abdomen"), table)

    assert (finding.kind, finding.case, finding.organ, finding.number) == ("left-right-swapped", "", "kidney_left", 10)
    assert "in 10 of 10 cases" in finding.text


def test_an_organ_on_the_wrong_side_in_all_cases_is_one_finding_about_the_dataset():
    names = {"spleen": "liver", "liver": "spleen"}
    table = {i: names.get(organ, organ) for i, organ in FIELDS["abdomen"].labels.items()}

    findings = [f for f in judge_organs(measure_all("abdomen"), table) if f.kind == "wrong-side"]

    assert describe(findings) == [("wrong-side", "", "liver"), ("wrong-side", "", "spleen")]
    assert all("in 10 of 10 cases, such as case_" in finding.text for finding in findings)


@pytest.mark.parametrize("axes", ["LPS", "LAS", "PIR", "SAL"])
@pytest.mark.parametrize("index", [0, 3], ids=["straight", "oblique"])
def test_the_orientation_in_which_a_case_is_stored_changes_nothing(axes: str, index: int, tmp_path: Path):
    phantom = draw("narrow", index)
    volume = phantom.volume()
    stored_as = inverse_orientation(nib.orientations.axcodes2ornt(axes))
    stored = orient_grid(volume.grid, stored_as)
    volumes.write_image(tmp_path / "image.nii.gz", orient(phantom.hu, volume.grid, stored_as), stored.affine)
    image = volumes.read_image(tmp_path / "image.nii.gz")
    volumes.write_labels(tmp_path / "labels.nii.gz", phantom.labels, image)
    labels = volumes.read_labels(tmp_path / "labels.nii.gz", image)

    measures = measure_organs(labels, image, phantom.organs)

    assert image.stored.orientation == axes
    kept, expected = (TypeAdapter(CaseOrgans).dump_python(m) for m in (measures, measure("narrow", index)))
    assert (kept.pop("sketch"), kept["fit"].pop("flips")) == (expected.pop("sketch"), expected["fit"].pop("flips"))
    assert flatten(kept) == pytest.approx(flatten(expected), rel=1e-4, abs=1e-3, nan_ok=True)


def flatten(value: object) -> list[object]:
    """The numbers of nested mappings and sequences."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in flatten(part)]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in flatten(part)]
    return [float("nan") if value is None else value]


def test_measures_survive_json():
    measures = measure("trunk", 3)
    adapter = TypeAdapter(CaseOrgans)

    assert adapter.validate_json(json.dumps(asdict(measures))) == measures
    assert adapter.validate_json(adapter.dump_json(measures)) == measures


def test_an_empty_label_map_has_measures_and_no_findings():
    phantom = draw("abdomen", 0)

    measures = measure_organs(np.zeros_like(phantom.labels), phantom.volume(), phantom.organs)

    assert measures.organs == ()
    assert judge_organs({"empty": measures}, phantom.organs) == []


def test_labels_that_the_table_does_not_name_are_passed_over():
    phantom = draw("abdomen", 0).copy()
    phantom.labels[phantom.where("colon")] = 200

    measures = measure_organs(phantom.labels, phantom.volume(), phantom.organs)

    assert judge_organs({"case": measures}, phantom.organs) == []


def test_the_place_of_an_empty_slice_lies_in_it_and_the_picture_shows_both_parts():
    defect = DEFECTS["empty slice"]
    phantom = plant(defect, draw("abdomen", 1))
    measures = measure_organs(phantom.labels, phantom.volume(), phantom.organs)

    (finding,) = judge_organs({"case": measures}, phantom.organs)

    _, y, z = finding.place.voxel
    mask = phantom.where("kidney_left")
    assert not mask[:, :, z].any()
    assert mask[:, :, z - 1].any()
    assert mask[:, :, z + 1].any()
    assert finding.place.axis == 1
    assert mask[:, y, :z].any()
    assert mask[:, y, z + 1 :].any()
