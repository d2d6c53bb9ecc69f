"""Rules on what the undisturbed run came to: whether it ran at all, where it lies, what it says of itself."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract.datasets import SUFFIX, case_names
from contract.errors import ExitCode
from contract.records import file_sha256
from coordinator.conformance.bench import Bench, Broken, NotApplicable, visible
from coordinator.conformance.data import CASES
from coordinator.conformance.evidence import (
    CASE_FIELDS,
    expected_of,
    expected_weights,
    label_ids,
    label_maps,
    listed,
    must_end,
    must_list_outputs,
    must_say,
    run_record,
    statuses,
    turned,
)

SAME_FORM = 1e-4
"""Entries of two affines that are to be one may differ so much: float noise of a quaternion."""
SAME_LABELS = 0.01
"""Share of the labelled voxels that may differ where the same is to come out but for float noise."""


def sound_run(bench: Bench) -> None:
    """Every step ends well and the last one leaves a label map a case."""
    try:
        stage = bench.base[-1]
    except NotApplicable:
        stage = bench.locked[-1]
    must_end(stage, ExitCode.DONE)
    missing = set(CASES) - set(case_names(stage.folder))
    if missing:
        file = f"<out>/check/{bench.label_version}/<case>{SUFFIX}"
        raise Broken(f"must write {file} for each case, but {listed(missing)} is missing")


def lock(name: str, bench: Bench) -> None:
    """The tool runs behind a lock."""
    if name not in bench.target.locks:
        raise NotApplicable("a process is not locked in; checked in Docker")
    if name in bench.granted:
        raise Broken(f"runs where it has that, but fails without ({bench.locked[-1].ended.last_words})")
    _ = bench.base


def user(bench: Bench) -> None:
    """The tool runs as a user that it does not know, whose files it writes."""
    lock("uid", bench)
    owner = bench.target.owner
    files = [path for stage in bench.base for path in (stage.folder, *visible(stage.folder))]
    others = {path.name: uid for path in files if (uid := path.stat().st_uid) != owner}
    if others and owner is not None:
        raise Broken(f"files must be of user {owner}, but {listed(others)} is of {listed(others.values())}")


def grid(bench: Bench) -> None:
    """Shape, sform and qform of each label map are its image's."""
    for case, labels in label_maps(bench.base).items():
        image = nib.load(bench.data.image(case))
        if labels.shape != image.shape:
            raise Broken(f"{case}: shape must be the image's {image.shape}, but is {labels.shape}")
        for form in ("sform", "qform"):
            wanted, code = getattr(image.header, f"get_{form}")(coded=True)
            found, found_code = getattr(labels.header, f"get_{form}")(coded=True)
            if code != found_code:
                raise Broken(f"{case}: {form} code must be the image's {code}, but is {found_code}")
            if code and not np.allclose(wanted, found, rtol=0, atol=SAME_FORM):
                off = np.abs(wanted - found).max()
                raise Broken(f"{case}: {form} must be the image's, but differs by {off:.3g} mm")


def integers(bench: Bench) -> None:
    """Label maps are stored as unsigned integers, as small as will do."""
    for case, labels in label_maps(bench.base).items():
        kind, highest = labels.get_data_dtype(), np.asarray(labels.dataobj).max()
        wide = max(highest, *label_ids(bench)) > np.iinfo(np.uint8).max
        if kind != np.uint8 and not (kind == np.uint16 and wide):
            raise Broken(f"{case}: must be uint8 (uint16 where an id is above 255), but is {kind}")
        if (labels.dataobj.slope, labels.dataobj.inter) != (1, 0):
            raise Broken(f"{case}: must have no scale, but has slope {labels.dataobj.slope}")


def orientation(bench: Bench) -> None:
    """The same volume in eight orientations gets the same labels.

    Where the case's name or training counts, they differ; then each must be what the same case, stored in RAS, gets.
    """
    found = turned(bench, bench.base)
    if not any(labels.any() for labels in found.values()):
        raise NotApplicable("every label map is empty, so that they can't be told apart")
    if all(_share(labels, found[CASES[0]]) <= SAME_LABELS for labels in found.values()):
        return
    chain = bench.chain("upright", "upright")
    must_end(chain[-1], ExitCode.DONE)
    upright = turned(bench, chain, "upright")
    shares = {case: _share(labels, upright[case]) for case, labels in found.items()}
    worst = max(shares, key=shares.__getitem__)
    if shares[worst] > SAME_LABELS:
        raise Broken(
            f"{worst}: labels must be the same whatever the file's orientation, but {shares[worst]:.0%} of the "
            "labelled voxels differ from those of the same image stored in RAS"
        )


def ids(bench: Bench) -> None:
    """Only ids of the variant's label table occur."""
    for case, labels in label_maps(bench.base).items():
        unknown = set(np.unique(np.asarray(labels.dataobj)).tolist()) - {0, *label_ids(bench)}
        if unknown:
            raise Broken(f"{case}: ids must be of the label table, but {listed(unknown)} occurs")


def status(bench: Bench) -> None:
    """`status.jsonl` has a line a case, with the sha256 of what was written."""
    stage = bench.base[-1]
    found = statuses(stage)
    if sorted(found) != sorted(CASES):
        raise Broken(f"status.jsonl must have one line for each case, but has {listed(found)}")
    for case, line in found.items():
        if line["state"] != "done" or not line["fingerprint"]:
            raise Broken(f"{case}: status.jsonl must say that it is done, with a fingerprint, but does not")
        if line["output_sha256"] != file_sha256(stage.label_map(case)):
            raise Broken(f"{case}: output_sha256 in status.jsonl must be that of the file, but is not")


def provenance(bench: Bench) -> None:
    """`run.json` of each step says what was run, on what, and what came out, truly."""
    for stage in bench.base:
        run = run_record(stage)
        must_say(run, expected_of(bench, stage.step), f"{stage.words}run.json")
        said = {entry.get("file"): entry.get("sha256") for entry in run["weights"]}
        must_say(said, expected_weights(bench), f"{stage.words}run.json: weights")
        must_list_outputs(stage)
    last = bench.base[-1]
    cases = run_record(last).get("cases", {})
    for case in CASES:
        record = cases.get(case, {})
        if not record.keys() >= CASE_FIELDS:
            raise Broken(f"run.json: cases.{case} must have {listed(CASE_FIELDS)}, but has {listed(record)}")
        sums = {"input_sha256": bench.data.image(case), "output_sha256": last.label_map(case)}
        must_say(record, {name: file_sha256(path) for name, path in sums.items()}, f"run.json: cases.{case}")


def _share(labels: NDArray[np.generic], others: NDArray[np.generic]) -> float:
    """Share of the voxels labelled in either map that differ."""
    return float((labels != others).sum() / max(1, ((labels != 0) | (others != 0)).sum()))
