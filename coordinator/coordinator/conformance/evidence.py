"""What a run left, read and compared; each `must_…` raises `Broken` with what is wrong."""

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
from coordinator.conformance.bench import Bench, Broken, Chain, NotApplicable, Stage, visible
from coordinator.conformance.data import CASES, ELSEWHERE, TRUNCATED, Kind
from coordinator.datasets.anatomy import LABELS

STATUS_FIELDS = {"case", "state", "fingerprint", "output_sha256", "reason", "notes"}
RUN_FIELDS = {
    "tool", "version", "variant", "step", "options", "weights", "device", "threads", "image_id", "revision", "packages",
    "outputs", "seconds",
}  # fmt: skip
CASE_FIELDS = {"input_sha256", "output_sha256", "seconds", "peak_memory_mb"}
OURS = {records.RUN, records.STATUS}


def must_end(stage: Stage, *codes: int) -> None:
    """The run ended with one of these exit codes."""
    if stage.ended.code not in codes:
        wanted = " or ".join(str(int(code)) for code in codes)
        how = f"{stage.ended.code} ({stage.ended.last_words})"
        raise Broken(f"{stage.words}must end with exit code {wanted}, but ends with {how}")


def must_refuse(stage: Stage, what: str) -> None:
    """The run was refused with a message and exit code 2."""
    ended = stage.ended
    if ended.code != ExitCode.USAGE:
        raise Broken(f"{what}: must end with exit code 2, but ends with {ended.code} ({ended.last_words})")
    if "Traceback (most recent call last)" in ended.log:
        raise Broken(f"{what}: must be answered with a message, but a traceback comes")


def must_say(record: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    """A record holds these values."""
    for name, value in wanted.items():
        if name not in record or record[name] != value:
            raise Broken(f"{where} must say {name}: {value!r}, but says {record.get(name, 'nothing')!r}")


def must_list_outputs(stage: Stage) -> None:
    """`outputs` of a stage's run.json are its files, with their sha256."""
    run, files = run_record(stage), {str(path.relative_to(stage.folder)): path for path in visible(stage.folder)}
    true = {name: records.file_sha256(path) for name, path in files.items() if path.name not in OURS}
    wrong = {name for name in {*true, *run["outputs"]} if true.get(name) != run["outputs"].get(name)}
    if wrong:
        raise Broken(f"{stage.words}run.json: outputs must be every file and its sha256, but {listed(wrong)} is not")


def must_equal(stage: Stage, undisturbed: Stage, cases: set[str]) -> None:
    """What a stopped and continued step left for these cases is what the undisturbed one left; times aside."""
    outputs = run_record(undisturbed)["outputs"]
    wanted = {n: s for n, s in outputs.items() if not n.endswith(SUFFIX) or n.removesuffix(SUFFIX) in cases}
    files = {str(path.relative_to(stage.folder)): path for path in visible(stage.folder)}
    found = {name: records.file_sha256(path) for name, path in files.items() if path.name not in OURS}
    if wrong := {name for name in {*wanted, *found} if wanted.get(name) != found.get(name)}:
        raise Broken(f"{stage.words}stopped and run again it must end as undisturbed, but {listed(wrong)} differs")
    if run_record(stage)["outputs"] != wanted:
        raise Broken(f"{stage.words}run.json must list the same outputs as undisturbed, but does not")
    if (undisturbed.folder / records.STATUS).is_file():
        lines = statuses(undisturbed)
        if statuses(stage) != {case: line for case, line in lines.items() if case in cases}:
            raise Broken(f"{stage.words}status.jsonl must be the same as undisturbed, but is not")


def must_fail_alone(bench: Bench, case: str) -> None:
    """In the run on damaged data a case failed with its reason and left nothing, and sound cases were done."""
    stage, _ = bench.damaged
    must_end(stage, ExitCode.CASES_FAILED)
    line = statuses(stage).get(case, {})
    if line.get("state") != "failed" or not line.get("reason"):
        raise Broken(f"{case}: status.jsonl must say that it failed, and why, but says {json.dumps(line)}")
    if stage.label_map(case).exists():
        raise Broken(f"{case}: must leave no label map behind when it fails, but one is there")
    missing = set(CASES) - {TRUNCATED, ELSEWHERE} - set(case_names(stage.folder))
    if missing:
        raise Broken(f"the other cases must be done, but {listed(missing)} is missing")


def label_maps(chain: Chain) -> dict[str, nib.Nifti1Image]:
    """Case -> its label map."""
    return {case: nib.load(chain[-1].label_map(case)) for case in CASES}


def label_ids(bench: Bench) -> set[int]:
    """The ids that may occur beside 0."""
    labels = bench.manifest.variant(bench.variant).labels
    return set(LABELS if labels == "from-dataset" else labels)


def turned(bench: Bench, chain: Chain, kind: Kind = "sound") -> dict[str, NDArray[np.generic]]:
    """Case -> (X, Y, Z) labels in RAS+, turned as its image says, whatever the label map's own header says."""
    found = {}
    for case, labels in label_maps(chain).items():
        stored = read_image(bench.data.image(case, kind)).stored
        if labels.shape != stored.shape:
            raise NotApplicable("label maps have other shapes than their images (rule `grid`)")
        found[case] = orient(np.asarray(labels.dataobj), stored, canonical_orientation(stored.affine))
    return found


def statuses(stage: Stage) -> dict[str, dict[str, Any]]:
    """Case -> its line of `status.jsonl`; the last one, where there are several."""
    file = stage.folder / records.STATUS
    if not file.is_file():
        raise Broken(f"{stage.words}status.jsonl must be written, but is not ({stage.ended.last_words})")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if not isinstance(line, dict) or line.keys() != STATUS_FIELDS:
            raise Broken(
                f"status.jsonl: a line must have the fields {listed(STATUS_FIELDS)}, but is {json.dumps(line)}"
            )
    return {line["case"]: line for line in lines}


def run_record(stage: Stage) -> dict[str, Any]:
    """The content of `run.json`."""
    file = stage.folder / records.RUN
    if not file.is_file():
        raise Broken(f"{stage.words}run.json must be written, but is not ({stage.ended.last_words})")
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if missing := RUN_FIELDS - run.keys():
        raise Broken(f"{stage.words}run.json must have all fields, but {listed(missing)} is missing")
    return run


def expected_of(bench: Bench, step: str | None) -> dict[str, object]:
    """What `run.json` of an undisturbed step must say."""
    manifest, image = bench.manifest, bench.target.image_id
    return {
        "tool": manifest.name, "version": manifest.version, "variant": bench.variant, "step": step,
        "options": manifest.complete_options(dict(manifest.check.options)), "threads": manifest.resources.cpus,
        **({"image_id": image} if image else {}),
    }  # fmt: skip


def expected_weights(bench: Bench) -> dict[str, str | None]:
    """File -> sha256 of the variant's weights."""
    entries = bench.manifest.variant(bench.variant).weights
    folder = bench.weights
    return {e.file: e.sha256 if folder is None else expected_sha256(e, bench.manifest.name, folder) for e in entries}


def listed(names: Iterable[object]) -> str:
    """Some of the names, sorted; `none` where there is none."""
    words = sorted(map(str, set(names)))
    return ", ".join([*words[:4], *(["…"] if len(words) > 4 else [])]) or "none"
