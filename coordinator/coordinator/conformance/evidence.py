"""Reads and compares what a run left; each `must_…` raises `RuleBroken` and says what is wrong."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from contract import records
from contract.datasets import SUFFIX, case_names
from contract.errors import ExitCode
from contract.grids import canonical_orientation, orient
from contract.volumes import read_image
from contract.weights import expected_sha256
from coordinator.conformance.data import CASES, OTHER_GRID, TRUNCATED, Kind
from coordinator.conformance.session import Chain, CheckSession, NotApplicable, RuleBroken, StepResult, visible_files
from coordinator.datasets.anatomy import LABELS

STATUS_FIELDS = {"case", "state", "fingerprint", "output_sha256", "reason", "notes"}
OPTIONAL_STATUS_FIELDS = {"retry"}
RUN_FIELDS = {
    "tool", "version", "variant", "step", "options", "weights", "device", "threads", "image_id", "revision", "packages",
    "outputs", "seconds",
}  # fmt: skip
CASE_FIELDS = {"input_sha256", "output_sha256", "seconds", "peak_memory_mb"}
OURS = {records.RUN, records.STATUS}


def must_end(result: StepResult, *codes: int) -> None:
    """Require one of these exit codes."""
    if result.outcome.code not in codes:
        expected = " or ".join(str(int(code)) for code in codes)
        actual = f"{result.outcome.code} ({result.outcome.last_line})"
        raise RuleBroken(f"{result.prefix}must end with exit code {expected}, but ends with {actual}")


def must_refuse(result: StepResult, what: str) -> None:
    """Require that the tool refused the run with a message and exit code 2."""
    outcome = result.outcome
    if outcome.code != ExitCode.USAGE:
        raise RuleBroken(f"{what}: must end with exit code 2, but ends with {outcome.code} ({outcome.last_line})")
    if "Traceback (most recent call last)" in outcome.log:
        raise RuleBroken(f"{what}: must be answered with a message, but a traceback comes")


def must_say(record: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Require these values in a record."""
    for name, value in expected.items():
        if name not in record or record[name] != value:
            raise RuleBroken(f"{where} must say {name}: {value!r}, but says {record.get(name, 'nothing')!r}")


def must_list_outputs(result: StepResult) -> None:
    """Require that `outputs` in run.json are all result files, with their sha256."""
    run, sums = read_run_record(result), _hash_outputs(result)
    if wrong := {name for name in {*sums, *run["outputs"]} if sums.get(name) != run["outputs"].get(name)}:
        names = list_some(wrong)
        raise RuleBroken(f"{result.prefix}run.json: outputs must be every file and its sha256, but {names} is not")


def must_equal(result: StepResult, undisturbed: StepResult, cases: set[str]) -> None:
    """Require the undisturbed results for these cases, except for times, from a step that was stopped and resumed."""
    outputs = read_run_record(undisturbed)["outputs"]
    expected = {n: s for n, s in outputs.items() if not n.endswith(SUFFIX) or n.removesuffix(SUFFIX) in cases}
    sums = _hash_outputs(result)
    if wrong := {name for name in {*expected, *sums} if expected.get(name) != sums.get(name)}:
        names = list_some(wrong)
        raise RuleBroken(f"{result.prefix}stopped and run again it must end as undisturbed, but {names} differs")
    if read_run_record(result)["outputs"] != expected:
        raise RuleBroken(f"{result.prefix}run.json must list the same outputs as undisturbed, but does not")
    if (undisturbed.folder / records.STATUS).is_file():
        lines = read_statuses(undisturbed)
        if read_statuses(result) != {case: line for case, line in lines.items() if case in cases}:
            raise RuleBroken(f"{result.prefix}status.jsonl must be the same as undisturbed, but is not")


def must_fail_alone(session: CheckSession, case: str) -> None:
    """Require that in the run on damaged data this case failed with a reason and left nothing, and others were done."""
    result, _ = session.damaged_run
    must_end(result, ExitCode.CASES_FAILED)
    line = read_statuses(result).get(case, {})
    if line.get("state") != "failed" or not line.get("reason"):
        raise RuleBroken(f"{case}: status.jsonl must say that it failed, and why, but says {json.dumps(line)}")
    if result.label_map(case).exists():
        raise RuleBroken(f"{case}: must leave no label map behind when it fails, but one is there")
    missing = set(CASES) - {TRUNCATED, OTHER_GRID} - set(case_names(result.folder))
    if missing:
        raise RuleBroken(f"the other cases must be done, but {list_some(missing)} is missing")


def load_label_maps(chain: Chain) -> dict[str, nib.Nifti1Image]:
    """Load case -> its label map."""
    return {case: nib.load(chain[-1].label_map(case)) for case in CASES}


def label_ids(session: CheckSession) -> set[int]:
    """The ids other than 0 that may occur."""
    labels = session.manifest.variant(session.variant).labels
    return set(LABELS if labels == "from-dataset" else labels)


def load_in_ras(session: CheckSession, chain: Chain, kind: Kind = "sound") -> dict[str, NDArray[np.generic]]:
    """Load case -> (X, Y, Z) labels in RAS+, reoriented by the image's header, not by that of the label map."""
    labels_in_ras = {}
    for case, labels in load_label_maps(chain).items():
        stored = read_image(session.data.image(case, kind)).stored
        if labels.shape != stored.shape:
            raise NotApplicable("label maps have other shapes than their images (rule `grid`)")
        labels_in_ras[case] = orient(np.asarray(labels.dataobj), stored, canonical_orientation(stored.affine))
    return labels_in_ras


def read_statuses(result: StepResult) -> dict[str, dict[str, Any]]:
    """Read case -> its last line of `status.jsonl`."""
    file = result.folder / records.STATUS
    if not file.is_file():
        raise RuleBroken(f"{result.prefix}status.jsonl must be written, but is not ({result.outcome.last_line})")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if not isinstance(line, dict) or line.keys() - OPTIONAL_STATUS_FIELDS != STATUS_FIELDS:
            raise RuleBroken(
                f"status.jsonl: a line must have the fields {list_some(STATUS_FIELDS)}, but is {json.dumps(line)}"
            )
    return {line["case"]: line for line in lines}


def read_run_record(result: StepResult) -> dict[str, Any]:
    """Read `run.json`."""
    file = result.folder / records.RUN
    if not file.is_file():
        raise RuleBroken(f"{result.prefix}run.json must be written, but is not ({result.outcome.last_line})")
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if missing := RUN_FIELDS - run.keys():
        raise RuleBroken(f"{result.prefix}run.json must have all fields, but {list_some(missing)} is missing")
    return run


def expected_record(session: CheckSession, step: str | None) -> dict[str, object]:
    """The values that `run.json` of an undisturbed step must hold."""
    manifest, image = session.manifest, session.target.image_id
    options = manifest.complete_options(dict(manifest.check.options))
    return {
        "tool": manifest.name, "version": manifest.version, "variant": session.variant, "step": step,
        "options": {name: options[name] for name in manifest.option_names(step)}, "threads": manifest.resources.cpus,
        **({"image_id": image} if image else {}),
    }  # fmt: skip


def expected_weights(session: CheckSession) -> dict[str, str | None]:
    """File -> sha256 of the variant's weights."""
    entries = session.manifest.variant(session.variant).weights
    folder = session.weights
    return {e.file: e.sha256 if folder is None else expected_sha256(e, session.manifest.name, folder) for e in entries}


def list_some(names: Iterable[object]) -> str:
    """The first four names, sorted, in one text; `none` for no names."""
    words = sorted(map(str, set(names)))
    return ", ".join([*words[:4], *(["…"] if len(words) > 4 else [])]) or "none"


def _hash_outputs(result: StepResult) -> dict[str, str]:
    """File -> sha256 of all results, without run.json and status.jsonl."""
    files = {str(path.relative_to(result.folder)): path for path in visible_files(result.folder)}
    return {name: records.file_sha256(path) for name, path in files.items() if path.name not in OURS}
