"""Rules on the undisturbed run: its end, its restrictions, its label maps and its records."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract.datasets import SUFFIX, case_names
from contract.errors import ExitCode
from contract.records import file_sha256
from coordinator.conformance.data import CASES
from coordinator.conformance.evidence import (
    CASE_FIELDS,
    expected_record,
    expected_weights,
    label_ids,
    list_some,
    load_in_ras,
    load_label_maps,
    must_end,
    must_list_outputs,
    must_say,
    read_run_record,
    read_statuses,
)
from coordinator.conformance.session import CheckSession, NotApplicable, RuleBroken, visible_files

FORM_TOLERANCE_MM = 1e-4
"""Allowed difference between entries of two affines: the float noise of a quaternion."""
LABEL_TOLERANCE = 0.01
"""Share of the labelled voxels that may differ between two orientations, because of float noise."""


def check_run(session: CheckSession) -> None:
    """Check that every step ends with code 0, and that the last one writes a label map for each case."""
    try:
        result = session.undisturbed[-1]
    except NotApplicable:
        result = session.locked_chain[-1]
    must_end(result, ExitCode.DONE)
    missing = set(CASES) - set(case_names(result.folder))
    if missing:
        file = f"<out>/check/{session.label_version}/<case>{SUFFIX}"
        raise RuleBroken(f"must write {file} for each case, but {list_some(missing)} is missing")


def check_lock(name: str, session: CheckSession) -> None:
    """Check that the tool runs behind a lock."""
    if name not in session.target.locks:
        raise NotApplicable(f"the runtime {session.target.runtime} has no such lock here; checked in Docker")
    if name in session.open_locks:
        raise RuleBroken(f"runs where it has that, but fails without ({session.locked_chain[-1].outcome.last_line})")
    _ = session.undisturbed


def check_user(session: CheckSession) -> None:
    """Check that the tool runs as a user that it does not know, and that its files belong to that user."""
    check_lock("uid", session)
    owner = session.target.owner
    files = [path for result in session.undisturbed for path in (result.folder, *visible_files(result.folder))]
    foreign = {path.name: uid for path in files if (uid := path.stat().st_uid) != owner}
    if foreign and owner is not None:
        raise RuleBroken(f"files must be of user {owner}, but {list_some(foreign)} is of {list_some(foreign.values())}")


def check_grid(session: CheckSession) -> None:
    """Check that each label map has its image's shape, sform and qform."""
    for case, labels in load_label_maps(session.undisturbed).items():
        image = nib.load(session.data.image(case))
        if labels.shape != image.shape:
            raise RuleBroken(f"{case}: shape must be the image's {image.shape}, but is {labels.shape}")
        for form in ("sform", "qform"):
            expected, expected_code = getattr(image.header, f"get_{form}")(coded=True)
            affine, code = getattr(labels.header, f"get_{form}")(coded=True)
            if code != expected_code:
                raise RuleBroken(f"{case}: {form} code must be the image's {expected_code}, but is {code}")
            if code and not np.allclose(expected, affine, rtol=0, atol=FORM_TOLERANCE_MM):
                difference_mm = np.abs(expected - affine).max()
                raise RuleBroken(f"{case}: {form} must be the image's, but differs by {difference_mm:.3g} mm")


def check_integers(session: CheckSession) -> None:
    """Check that label maps are stored as the smallest sufficient unsigned integers, without a scale."""
    for case, labels in load_label_maps(session.undisturbed).items():
        dtype, highest = labels.get_data_dtype(), np.asarray(labels.dataobj).max()
        needs_uint16 = max(highest, *label_ids(session)) > np.iinfo(np.uint8).max
        if dtype != np.uint8 and not (dtype == np.uint16 and needs_uint16):
            raise RuleBroken(f"{case}: must be uint8 (uint16 where an id is above 255), but is {dtype}")
        if (labels.dataobj.slope, labels.dataobj.inter) != (1, 0):
            raise RuleBroken(f"{case}: must have no scale, but has slope {labels.dataobj.slope}")


def check_orientation(session: CheckSession) -> None:
    """Check that the same volume in eight orientations gets the same labels.

    They may differ where a tool uses the case's name or was trained on the cases; then the labels of each case must be
    those that it gets when it is stored in RAS.
    """
    labels_by_case = load_in_ras(session, session.undisturbed)
    if not any(labels.any() for labels in labels_by_case.values()):
        raise NotApplicable("every label map is empty, so that orientations can't be compared")
    if all(_share_differing(labels, labels_by_case[CASES[0]]) <= LABEL_TOLERANCE for labels in labels_by_case.values()):
        return
    chain = session.run_chain("upright", "upright")
    must_end(chain[-1], ExitCode.DONE)
    upright = load_in_ras(session, chain, "upright")
    shares = {case: _share_differing(labels, upright[case]) for case, labels in labels_by_case.items()}
    worst = max(shares, key=shares.__getitem__)
    if shares[worst] > LABEL_TOLERANCE:
        raise RuleBroken(
            f"{worst}: labels must be the same whatever the file's orientation, but {shares[worst]:.0%} of the "
            "labelled voxels differ from those of the same image stored in RAS"
        )


def check_ids(session: CheckSession) -> None:
    """Check that only ids of the variant's label table occur."""
    for case, labels in load_label_maps(session.undisturbed).items():
        unknown = set(np.unique(np.asarray(labels.dataobj)).tolist()) - {0, *label_ids(session)}
        if unknown:
            raise RuleBroken(f"{case}: ids must be of the label table, but {list_some(unknown)} occurs")


def check_status(session: CheckSession) -> None:
    """Check that `status.jsonl` has a line for each case, with the sha256 of its label map."""
    result = session.undisturbed[-1]
    lines = read_statuses(result)
    if sorted(lines) != sorted(CASES):
        raise RuleBroken(f"status.jsonl must have one line for each case, but has {list_some(lines)}")
    for case, line in lines.items():
        if line["state"] != "done" or not line["fingerprint"]:
            raise RuleBroken(f"{case}: status.jsonl must say that it is done, with a fingerprint, but does not")
        if line["output_sha256"] != file_sha256(result.label_map(case)):
            raise RuleBroken(f"{case}: output_sha256 in status.jsonl must be that of the file, but is not")


def check_provenance(session: CheckSession) -> None:
    """Check that `run.json` of each step records the tool, its options, inputs and outputs correctly."""
    for result in session.undisturbed:
        run = read_run_record(result)
        must_say(run, expected_record(session, result.step), f"{result.prefix}run.json")
        weights = {entry.get("file"): entry.get("sha256") for entry in run["weights"]}
        must_say(weights, expected_weights(session), f"{result.prefix}run.json: weights")
        must_list_outputs(result)
    last = session.undisturbed[-1]
    cases = read_run_record(last).get("cases", {})
    for case in CASES:
        record = cases.get(case, {})
        if not record.keys() >= CASE_FIELDS:
            fields = list_some(CASE_FIELDS)
            raise RuleBroken(f"run.json: cases.{case} must have {fields}, but has {list_some(record)}")
        sums = {"input_sha256": session.data.image(case), "output_sha256": last.label_map(case)}
        must_say(record, {name: file_sha256(path) for name, path in sums.items()}, f"run.json: cases.{case}")


def _share_differing(labels: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Share of the voxels labelled in either map that differ."""
    return float((labels != expected).sum() / max(1, ((labels != 0) | (expected != 0)).sum()))
