"""What steps read: results of other steps, and the user's files, which anybody can replace while a study runs.

    check of the data ──► .steps/.check.json ──► before a step: as planned? ──► work ──► still as planned? ──► publish

A step that read something else fails without publishing its output. The coordinator then checks the data and plans
again.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from contract import atomic, statefiles
from contract.stamps import Stamp, take_stamp, written
from coordinator.engine import outputs
from coordinator.engine.outputs import ChangedError, Mark
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

PLANNED = f"{steps.MARKERS}/{outputs.CHECK}"
"""Dataset -> file below its folder -> sha256 and stamp, as the check of the data read it."""
DESCRIPTION = "dataset.yaml"


class Reading(NamedTuple):
    """What a step reads, as it was when the step began.

    Attributes:
        run: the run folder.
        step: the step.
        data: folder of its dataset.
        planned: file below that folder -> its mark in the plan.
        weights: file of its tool's weights -> stamp.
    """

    run: Path
    step: Step
    data: Path
    planned: Mapping[str, Mark]
    weights: Mapping[Path, Stamp | None]

    def refuse_changes(self) -> None:
        """Compare stamps again, at the step's end; files of another stamp are read.

        Raises:
            ChangedError: a result of another step, or weights, were replaced while the step ran.
        """
        _refuse_changed_results(self.run, self.step, read=False)
        for file, stamp in self.weights.items():
            if written(take_stamp(file)) != written(stamp):
                raise ChangedError(f"{file}: was replaced while {self.step.id} ran")

    def refuse_other_cases(self, digests: Mapping[str, str]) -> None:
        """Compare the dataset's files, and what a tool recorded of the images that it read, with the plan.

        Args:
            digests: case -> sha256 of its image.

        Raises:
            ChangedError: a file was replaced while the step ran, or another image was read than was planned.
        """
        _refuse_changed_files(self.data, self.planned)
        for case, sha256 in digests.items():
            file = f"images/{case}.nii.gz"
            if file in self.planned and sha256 != self.planned[file][0]:
                raise ChangedError(f"{self.data / file}: was replaced while {self.step.id} ran")


def begin_reading(run: Path, plan: Plan, step: Step) -> Reading:
    """Compare all that a step reads with the plan; results of other steps are read to the last byte.

    Raises:
        ChangedError: something differs.
    """
    _refuse_changed_results(run, step, read=True)
    data, planned = Path(plan.data) / step.dataset, {}
    if step.kind in {"labels", "tool"}:
        names = set(_dataset_files(plan, step))
        planned = {file: mark for file, mark in _read_planned(run).get(step.dataset, {}).items() if file in names}
    _refuse_changed_files(data, planned)
    return Reading(run, step, data, planned, _stamp_weights(plan, step))


def write_planned(run: Path, files: Mapping[str, Mapping[str, Mark]]) -> None:
    """Write which bytes a plan counts on: dataset -> file below its folder -> sha256 and stamp."""
    content = json.dumps(files, ensure_ascii=False, separators=(",", ":")) + "\n"
    atomic.write_text(run / PLANNED, content)


def find_replaced(run: Path, plan: Plan) -> str | None:
    """Which file of the datasets is no longer the one that was planned with; None where all are."""
    try:
        for dataset, planned in _read_planned(run).items():
            readable = {file: mark for file, mark in planned.items() if mark[0] is not None}
            _refuse_changed_files(Path(plan.data) / dataset, readable)
    except ChangedError as error:
        return str(error)
    return None


def changed_mark(step_id: str) -> str:
    """The file, below the run folder, that says that a step waits for another plan."""
    return f"{steps.MARKERS}/{step_id}.changed"


def take_changed(run: Path) -> list[str]:
    """The steps that read something else than was planned, since this was asked last."""
    files = sorted(file for file in (run / steps.MARKERS).rglob("*.changed") if file.is_file())
    for file in files:
        file.unlink()
    return [str(file.relative_to(run / steps.MARKERS).with_suffix("")) for file in files]


def _refuse_changed_results(run: Path, step: Step, *, read: bool) -> None:
    """Refuse results of other steps that are no longer those that were written; the next plan does them again."""
    for need in step.needs:
        record = outputs.read_record(run, need)
        if record is None:
            continue
        _, changes = outputs.find_changes(run, need, record, outputs.always if read else outputs.never)
        for file, problem in changes.items():
            steps.marker_file(run, need).unlink(missing_ok=True)
            raise ChangedError(f"{run / file}: {problem}; {need} must be done again before {step.id}")


def _refuse_changed_files(data: Path, planned: Mapping[str, Mark]) -> None:
    from contract.records import file_sha256

    for name, (sha256, stamp) in planned.items():
        file = data / name
        present = take_stamp(file)
        if present is not None and present == stamp:
            continue
        try:
            same = present is not None and file_sha256(file) == sha256
        except OSError as error:
            raise ChangedError(f"{file}: was readable when the data were checked, but: {error.strerror}") from None
        if not same:
            what = "is missing" if present is None else "has other bytes than when the data were checked"
            raise ChangedError(f"{file}: {what}")


def _dataset_files(plan: Plan, step: Step) -> Iterator[str]:
    """The files of a dataset that a step may read."""
    yield DESCRIPTION
    place = step.settings["place"] if step.kind == "labels" else "labels" if step.shows_labels else None
    for case in step.settings.get("cases") or plan.about.get("cases", {}).get(step.dataset, ()):
        yield f"images/{case}.nii.gz"
        if place is not None:
            yield f"{place}/{case}.nii.gz"


def _read_planned(run: Path) -> dict[str, dict[str, Mark]]:
    """What the plan counts on; nothing where a single step is tried by hand."""
    return statefiles.read(run / PLANNED, _parse_planned) or {}


def _parse_planned(content: bytes) -> dict[str, dict[str, Mark]]:
    planned = statefiles.parse_mapping(content)
    if not all(outputs.is_mark(mark) for files in planned.values() for mark in files.values()):
        raise ValueError("it holds values of other types")
    return planned


def _stamp_weights(plan: Plan, step: Step) -> dict[Path, Stamp | None]:
    """The stamps of a tool's weights; the tool compares their sha256 when it begins to read them."""
    if step.tool is None or plan.weights is None:
        return {}
    folder = Path(plan.weights) / step.tool
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    # What `weights fetch` writes beside them says nothing of their bytes.
    return {file: take_stamp(file) for file in files if not file.name.startswith(".") and file.name != "SHA256SUMS"}
