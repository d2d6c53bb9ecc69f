"""Findings that need the other cases: what is far, what is usual, and what only looks so."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from helpers.auditfiles import audit_files, draw, make_folder, measure, write_case
from pydantic import TypeAdapter

from contract.grids import Grid
from contract.volumes import Volume, read_image
from coordinator.datasets.audit.files.casefiles import FileMeasures, judge_files, measure_files
from coordinator.datasets.audit.files.headers import judge_headers, measure_headers
from coordinator.datasets.audit.files.slices import judge_slices, measure_slices
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.audit.outliers import gather_usual, judge_places, judge_ratios


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileMeasures]:
    dataset = make_folder(tmp_path_factory.mktemp("data") / "toy")
    for case in "abc":
        write_case(dataset, case, draw("default", case))
    return measure(dataset, "abc")


def lengths(*values: float) -> dict[str, float]:
    return {f"case_{i:02d}": value for i, value in enumerate(values)}


def with_spacing(of_case: FileMeasures, spacing_mm: tuple[float, float, float]) -> FileMeasures:
    return replace(of_case, headers=replace(of_case.headers, spacing_mm=spacing_mm))


def test_mixed_slice_thickness_is_no_flood() -> None:
    mixed = np.random.default_rng(1).choice([0.7, 1, 1.25, 2, 2.5, 3, 5], 200)

    assert list(judge_ratios("spacing-far", "spacing", lengths(*mixed), 3)) == []


def test_two_protocols_are_no_outliers_of_each_other() -> None:
    assert list(judge_ratios("spacing-far", "spacing", lengths(*[5.0] * 14, *[1.0] * 6), 3)) == []


def test_one_spacing_far_from_all_others_is_found_with_both_numbers() -> None:
    (finding,) = judge_ratios("spacing-far", "spacing feet to head", lengths(*[0.7, 0.8, 0.9] * 4, 5.0), 3)

    assert (finding.kind, finding.case, finding.weight) == ("spacing-far", "case_12", Weight.ODD)
    assert "5 mm, but 0.8 mm" in finding.text


@pytest.mark.parametrize("value", [0.21, 3.9])
def test_what_is_within_the_ratio_is_near_even_where_all_others_agree(value: float) -> None:
    assert list(judge_ratios("spacing-far", "spacing", lengths(*[1.0] * 20, value), 5)) == []


def test_too_few_cases_are_not_compared() -> None:
    assert list(judge_ratios("spacing-far", "spacing", lengths(1, 1, 1, 50), 3)) == []


def test_a_place_far_from_the_others_is_one_finding_for_all_axes() -> None:
    places = {f"case_{i}": (float(i), -200.0, 40.0 * i) for i in range(9)}

    (finding,) = judge_places("place-far", {**places, "z": (4000.0, 3000.0, 0.0)}, 1500)

    assert (finding.case, finding.unit) == ("z", "mm")
    assert finding.number == pytest.approx(np.linalg.norm([3995.5, 3200, 140]), rel=0.01)


def test_odd_things_that_most_cases_have_are_told_once_for_the_dataset() -> None:
    odd = [Finding("padding", Weight.ODD, f"text {c}", "nothing", case=c, number=i) for i, c in enumerate("abcd")]
    wrong = [Finding("not-hu", Weight.WRONG, "text", "advice", case=c) for c in "abcd"]

    gathered = gather_usual([*odd, *wrong], 6)

    assert [(finding.kind, finding.case) for finding in gathered] == [*(("not-hu", c) for c in "abcd"), ("padding", "")]
    assert gathered[-1].text == "4 of 6 cases, such as a, b, c: text d (in d)"
    assert gathered[-1].number == 4
    assert gather_usual(odd, 8) == odd
    assert gather_usual(odd[:3], 4) == odd[:3]


def test_a_body_of_twice_the_others_width_is_far(measured: dict[str, FileMeasures]) -> None:
    of_case = measured["a"]
    assert of_case.body is not None
    wide = replace(of_case, body=replace(of_case.body, width_mm=2.2 * of_case.body.width_mm))
    others = {f"{i}": measured["abc"[i % 3]] for i in range(9)}

    assert [(f.kind, f.case) for f in judge_files({**others, "wide": wide})] == [("body-size-far", "wide")]


@pytest.mark.parametrize(
    ("shape", "is_fake"), [((512, 512, 90), True), ((90, 768, 768), True), ((400, 310, 290), False)]
)
def test_a_spacing_of_one_is_fake_with_a_scanners_matrix(
    shape: tuple[int, int, int], is_fake: bool, measured: dict[str, FileMeasures]
) -> None:
    headers = replace(measured["a"].headers, spacing_mm=(1.0, 1.0, 1.0), shape=shape)

    found = {finding.kind for finding in judge_files({"a": replace(measured["a"], headers=headers)})}

    assert found == ({"fake-spacing"} if is_fake else set())


def test_a_spacing_of_one_at_the_origin_is_fake(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "toy")
    case = draw("default", "a")
    write_case(dataset, "a", replace(case, affine=np.diag([-1.0, -1, 1, 1])))

    assert {f.kind for f in audit_files(dataset) if f.case} == {"fake-spacing", "body-too-small"}


@pytest.mark.parametrize(("shear", "kinds"), [(3e-5, []), (2e-4, ["sheared-grid"])])
def test_a_shear_is_told_from_where_itk_refuses_it(shear: float, kinds: list[str], tmp_path: Path) -> None:
    case, path = draw("narrow", "a"), tmp_path / "a.nii.gz"
    case.affine[1, 2] = shear * case.affine[2, 2]
    volume = nib.Nifti1Image(case.image, case.affine)
    volume.set_qform(None, code=0)
    nib.save(volume, path)
    image = read_image(path)

    try:
        SimpleITK.ReadImage(path)
        refused = False
    except RuntimeError:
        refused = True

    found = [finding.kind for finding in judge_headers({"a": measure_headers(image, None)})]

    assert found == kinds
    assert refused == bool(kinds)


def reorder(image: Volume, slices: list[int]) -> Volume:
    array = image.array[:, :, slices]
    return replace(image, array=array, grid=Grid(array.shape, image.grid.affine))


@pytest.mark.parametrize("field", ["long", "narrow"])
def test_interleaved_and_alternating_slices_are_found(field: str, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "toy")
    write_case(dataset, "a", draw(field, "a"))
    image = read_image(dataset.image("a"))
    n = image.grid.shape[2]
    interleaved = [*range(0, n, 2), *range(1, n, 2)]
    alternating = [k for pair in zip(range(n // 2), range(n // 2, n), strict=True) for k in pair]

    kinds = [
        {f.kind for f in judge_slices({"a": measure_slices(reorder(image, s))})} for s in (interleaved, alternating)
    ]

    assert kinds == [{"missing-slices"}, {"slices-out-of-order"}]


def test_a_jump_and_a_doubled_slice_point_at_their_slice(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "toy")
    write_case(dataset, "a", draw("narrow", "a"))
    image = read_image(dataset.image("a"))

    (jump,) = judge_slices({"a": measure_slices(reorder(image, [*range(8), *range(14, 24)]))})
    (twice,) = judge_slices({"a": measure_slices(reorder(image, [*range(9), *range(8, 24)]))})

    assert jump.place is not None
    assert twice.place is not None
    assert (jump.place.voxel[2], jump.place.axis) == (7, 2)
    assert (twice.place.voxel[2], twice.number) == (9, 1)


def test_slices_are_those_of_the_thickest_axis(measured: dict[str, FileMeasures], tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "toy")
    case = draw("narrow", "a")
    case.affine[1, 1] *= 4  # coronal slices
    case.image[:, 20] = case.image[:, 21]
    write_case(dataset, "a", case)

    (finding,) = judge_slices({"a": measure_slices(read_image(dataset.image("a")))})

    assert finding.kind == "doubled-slices"
    assert finding.place is not None
    assert (finding.place.voxel[1], finding.place.axis) == (21, 1)


def test_measures_can_be_kept_as_json(measured: dict[str, FileMeasures]) -> None:
    kept = json.dumps(asdict(measured["a"]), allow_nan=False)

    assert TypeAdapter(FileMeasures).validate_json(kept) == measured["a"]


def test_an_image_without_a_body_is_measured(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "toy")
    case = draw("narrow", "a")
    write_case(dataset, "a", replace(case, image=np.full_like(case.image, -1000)))
    image = read_image(dataset.image("a"))

    measures = measure_files(image, dataset.image("a"), None, None)

    assert measures.body is None
    assert [finding.kind for finding in judge_files({"a": measures})] == ["constant-image"]
