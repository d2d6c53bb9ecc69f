"""The odd and broken files of the samples, as the audit judges them: what the samples' README says of each."""

from pathlib import Path

import pytest
import yaml

from contract.datasets import Dataset, DatasetDescription
from coordinator.datasets import importing
from coordinator.datasets.audit.audit import audit_datasets
from coordinator.datasets.audit.findings import Weight

pytestmark = pytest.mark.samples
TABLE = Path(importing.__file__).with_name("tables") / "totalsegmentator.yaml"
ORGANS = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["labels"]
BASE = ("base_ct", "base_seg117")
VERDICTS = {
    BASE: set(),
    ("ct_truncated", BASE[1]): {(Weight.UNUSABLE, "truncated-file")},
    ("ct_badcrc", BASE[1]): {(Weight.UNUSABLE, "corrupt-file")},
    ("ct_zero_bytes", BASE[1]): {(Weight.UNUSABLE, "empty-file")},
    ("ct_not_gzipped", BASE[1]): {(Weight.UNUSABLE, "not-gzip")},
    ("ct_nan_inf", BASE[1]): {(Weight.UNUSABLE, "voxels-not-finite")},
    ("ct_4d", BASE[1]): set(),
    ("ct_float64", BASE[1]): set(),
    ("ct_uint8_scaled", BASE[1]): {(Weight.SUSPECT, "8-bit-image"), (Weight.ODD, "scaled-image")},
    ("ct_no_hu_offset", BASE[1]): {(Weight.WRONG, "hu-offset-missing")},
    ("ct_permuted_pir", BASE[1]): set(),
    ("ct_qform_only", BASE[1]): set(),
    ("ct_no_form_codes", ""): {(Weight.SUSPECT, "no-orientation")},
    # Its labels have an orientation, so that they lie elsewhere.
    ("ct_no_form_codes", BASE[1]): {(Weight.SUSPECT, "no-orientation"), (Weight.UNUSABLE, "other-grid")},
    ("ct_qform_neq_sform", BASE[1]): {(Weight.SUSPECT, "forms-disagree")},
    ("ct_shear", "seg_shear"): {(Weight.ODD, "sheared-grid")},
    ("ct_single_slice", ""): {(Weight.SUSPECT, "single-slice")},
    (BASE[0], "seg_empty"): {(Weight.SUSPECT, "no-organ-labelled")},
    (BASE[0], "seg_float_labels"): {(Weight.ODD, "labels-stored-as-floats")},
    (BASE[0], "seg_unexpected_values"): {(Weight.UNUSABLE, "unknown-label-value")},
    (BASE[0], "seg_wrong_shape"): {(Weight.UNUSABLE, "other-grid")},
    (BASE[0], "seg_flipped_x"): set(),
    (BASE[0], "seg_shear"): {(Weight.UNUSABLE, "other-grid")},
    (BASE[0], "seg_shift_1e-4"): set(),
    (BASE[0], "seg_shift_1p7mm"): {(Weight.UNUSABLE, "other-grid")},
}
"""Image and labels, none where they are '' -> weight and kind of each finding."""
NUMBERS = {
    "ct_nan_inf": "5600 are NaN or infinite",
    "ct_qform_neq_sform": "30 mm",
    "seg_unexpected_values": "300 (1 voxels)",
    "seg_wrong_shape": "(80, 70, 19) and should be (80, 70, 20)",
    "seg_shift_1p7mm": "1.7 mm apart",
}
"""File -> what the text of its finding must tell."""


def make_case(folder: Path, image: Path, labels: Path | None) -> Dataset:
    """A dataset of one pair of files."""
    for kind, source in (("images", image), ("labels", labels)):
        (folder / kind).mkdir()
        if source:
            (folder / kind / "case.nii.gz").symlink_to(source)
    return Dataset(folder, DatasetDescription(name="edge", labels=ORGANS if labels else {}))


@pytest.mark.parametrize(("image", "labels"), VERDICTS)
def test_each_file_gets_the_verdict_that_its_readme_says(
    image: str, labels: str, samples: Path, tmp_path: Path
) -> None:
    edge = samples / "edge_cases"
    dataset = make_case(tmp_path, edge / f"{image}.nii.gz", edge / f"{labels}.nii.gz" if labels else None)

    (audit,) = audit_datasets([dataset])

    # What is said of single organs is about their predicted labels, which are the same in all of these files.
    found = [finding for finding in audit.findings if finding.case and not finding.organ]

    assert {(finding.weight, finding.kind) for finding in found} == VERDICTS[image, labels]
    for number in (NUMBERS[file] for file in (image, labels) if file in NUMBERS):
        assert any(number in finding.text for finding in found), [finding.text for finding in found]


def test_no_file_of_the_samples_is_left_out(samples: Path) -> None:
    files = {file.name.removesuffix(".nii.gz") for file in (samples / "edge_cases").glob("*.nii.gz")}

    assert files == {file for pair in VERDICTS for file in pair if file}
