"""Errors and warnings of a dataset's check as findings of the audit.

"labels/a.nii.gz: label ids must be in the table, but these are not: 63 (12 voxels); name them in dataset.yaml"
    ──► kind by its phrase: unknown-label-value     text: up to the last "; "     advice: behind it
"""

import re
from collections.abc import Collection, Iterable, Iterator

from contract.datasets import SUFFIX
from coordinator.datasets.audit.findings import Finding, Weight
from coordinator.datasets.audit.outliers import gather_usual
from coordinator.datasets.check import CaseCheck, DatasetCheck

ERROR_KINDS = (
    ("No such file", "missing-file"),
    ("labels must be called as the image", "bad-name"),
    ("names must differ on every filesystem", "bad-name"),
    ("a name must", "bad-name"),
    ("a case's file must end in", "bad-name"),
    ("gzip stream is truncated", "truncated-file"),
    ("voxels are missing", "truncated-file"),
    ("gzip stream must end after", "corrupt-file"),
    ("gzip stream is corrupt", "corrupt-file"),
    ("file must not be empty", "empty-file"),
    ("file must be gzip", "not-gzip"),
    ("is the header of a pair", "header-of-a-pair"),
    ("file must be NIfTI", "not-nifti"),
    ("vox_offset must lie", "corrupt-header"),
    ("scale must be finite", "corrupt-header"),
    ("volume must have voxels along all axes", "corrupt-header"),
    ("dim[0]", "corrupt-header"),
    ("voxels must have a type", "corrupt-header"),
    ("affine must", "impossible-geometry"),
    ("mm, as a CT's do", "impossible-geometry"),
    ("one number a voxel", "no-scalar-image"),
    ("volume must be 3D", "not-3d"),
    ("must fit into memory", "too-large-for-memory"),
    ("voxels must be finite", "voxels-not-finite"),
    ("grids must agree", "other-grid"),
    ("labels must be integers", "labels-not-whole-numbers"),
    ("label ids must", "unknown-label-value"),
)
"""Phrase of a message -> kind; the first that occurs. `reading` in the contract may raise anything else."""
WARNING_KINDS = (
    ("not in HU", "not-hu", Weight.WRONG),
    ("stored with 8 bits", "8-bit-image", Weight.SUSPECT),
    ("is a single slice", "single-slice", Weight.SUSPECT),
    ("no organ is labelled", "no-organ-labelled", Weight.SUSPECT),
    ("qform and sform disagree", "forms-disagree", Weight.SUSPECT),
    ("no orientation: sform and qform", "no-orientation", Weight.SUSPECT),
    ("it was converted to mm", "unit-not-mm", Weight.ODD),
    ("xyzt_units is not defined", "unit-not-mm", Weight.ODD),
    ("the qform was used", "unsound-form", Weight.SUSPECT),
    ("the qform is unsound", "unsound-form", Weight.ODD),
    ("form_code", "unsound-form", Weight.ODD),
    ("quaternion", "unsound-form", Weight.ODD),
    ("pixdim", "unsound-form", Weight.ODD),
    ("along the fourth axis", "slices-on-fourth-axis", Weight.ODD),
    ("vox_offset is 0", "no-offset-of-voxels", Weight.ODD),
    ("behind the", "bytes-behind-voxels", Weight.ODD),
    ("scaled voxels", "scaled-image", Weight.ODD),
)
"""Phrase of a warning about a case -> kind and weight; the first that occurs."""
MEASURED = frozenset({"not-hu", "8-bit-image", "single-slice", "no-organ-labelled", "forms-disagree", "no-orientation"})
"""Kinds that `judge_files` tells with more numbers, for cases that are measured."""
DATASET_KINDS = (
    ("labels without an image", "labels-without-image", Weight.SUSPECT),
    ("passed over", "file-passed-over", Weight.ODD),
    ("that do not exist", "unknown-case-in-description", Weight.SUSPECT),
    ("organs that occur in no case", "organ-in-no-case", Weight.SUSPECT),
)
"""Phrase of a warning about the dataset -> kind and weight."""
TWINS = "cases with the same scan"
"""Begins the warning that `judge_duplicates` tells case by case."""
ADVICE = {
    "organ-in-no-case": "remove them from `labels:` in dataset.yaml, or look whether they were lost",
    "labels-without-image": "add the images, or remove the labels",
    "unknown-case-in-description": "correct dataset.yaml",
    "not-3d": "save one volume as a file",
    "missing-file": "put the file there, or exclude the case under `exclude:` in dataset.yaml",
    "scaled-image": "nothing: the scale was applied",
    "unsound-form": "compare the orientation with another program's, and repair the header",
    "labels-not-whole-numbers": "draw or convert the labels again; they seem to have been interpolated",
}
"""What to do where a message doesn't say so."""
REPAIR = "repair the file, or exclude the case under `exclude:` in dataset.yaml"
"""What to do about any other error."""
PASSED = "nothing, where it is meant so"
"""What to do about any other warning."""
FEWEST_CODES = 2
"""Ids that must all be multiples; a single one is a multiple of something by chance."""
LISTED_ID = re.compile(r"(-?\d+) \(\d+ voxels\)")
"""An id in the message on unknown label values."""


def judge_checks(check: DatasetCheck, measured: Collection[str] | None = None) -> list[Finding]:
    """Findings for all errors and warnings of a dataset's check.

    Args:
        check: of the dataset.
        measured: cases that `judge_files` judges, whose warnings of the kinds in `MEASURED` are left to it; the sound
            cases when None.

    Returns:
        One finding for each error of a case, each warning about a case, and each about the dataset. Excluded cases
        have none, odd things that most cases have are told once, and that cases are one scan is left to
        `judge_duplicates`.
    """
    has_measures = set(check.cases if measured is None else measured)
    findings: list[Finding] = []
    for case, of_case in check.checks.items():
        findings += [_judge_error(check, case, error) for error in of_case.errors]
        findings += _judge_warnings(case, of_case, is_measured=case in has_measures)
    return [*gather_usual(findings, len(check.checks)), *_judge_dataset(check.warnings)]


def _judge_error(check: DatasetCheck, case: str, error: str) -> Finding:
    part, message = _split_path(case, error)
    kind = next((kind for phrase, kind in ERROR_KINDS if phrase in message), "unreadable-file")
    kind = {"missing-file": f"no-{part}", "unreadable-file": f"unreadable-{part}"}.get(kind, kind)
    text, advice = _split_advice(message, ADVICE.get(kind, ADVICE["missing-file"] if kind[:3] == "no-" else REPAIR))
    if kind == "unknown-label-value" and (factor := _find_factor(message, check.labels)):
        advice = f"divide all ids by {factor}: then they are those of the table"
    return Finding(kind, Weight.UNUSABLE, f"{part}: {text}", advice, case=case)


def _judge_warnings(case: str, of_case: CaseCheck, *, is_measured: bool) -> Iterator[Finding]:
    for warning in of_case.warnings:
        unknown = ("odd-file", Weight.ODD)
        kind, weight = next(((kind, weight) for phrase, kind, weight in WARNING_KINDS if phrase in warning), unknown)
        if is_measured and kind in MEASURED:
            continue
        # What a note says last is how the file was read, not what to do.
        has_advice = kind in ("not-hu", "no-organ-labelled")
        text, advice = _split_advice(warning, PASSED) if has_advice else (warning, ADVICE.get(kind, PASSED))
        yield Finding(kind, weight, text, advice, case=case)


def _judge_dataset(warnings: Iterable[str]) -> Iterator[Finding]:
    for warning in warnings:
        if warning.startswith(TWINS):
            continue
        unknown = ("odd-dataset", Weight.ODD)
        kind, weight = next(((kind, weight) for phrase, kind, weight in DATASET_KINDS if phrase in warning), unknown)
        text, advice = _split_advice(warning, ADVICE.get(kind, PASSED))
        yield Finding(kind, weight, text, advice)


def _split_path(case: str, message: str) -> tuple[str, str]:
    """Whether a message is about a case's image or its labels, and the message without the file's path."""
    for ending in (f"{SUFFIX}: ", "."):  # a file with a bad name ends otherwise
        place, found, text = message.partition(f"/{case}{ending}")
        if found:
            part = "image" if place.rpartition("/")[2] == "images" else "labels"
            return part, text if ending != "." else text.partition(": ")[2]
    return "image", message


def _split_advice(message: str, otherwise: str) -> tuple[str, str]:
    """A message up to its last "; ", and what it says to do behind it; `otherwise` where it doesn't say so."""
    text, separator, advice = message.rpartition("; ")
    return (text, advice) if separator else (message, otherwise)


def _find_factor(message: str, labels: Collection[int]) -> int:
    """The whole number by which all ids of a message are too high, as where 1 to 4 were spread over 255; 0 for none."""
    ids = [int(found) for found in LISTED_ID.findall(message)]
    if len(ids) < FEWEST_CODES or min(ids) <= 0:
        return 0
    factors = range(2, min(ids) + 1)
    return next((f for f in factors if all(i % f == 0 and i // f in labels for i in ids)), 0)
