"""A short chain of real steps without tools: reference labels, a label version, its scores."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np

from contract.datasets import open_dataset
from contract.stamps import mark_file
from coordinator.datasets.check import DatasetCheck, check_dataset
from coordinator.engine import inputs, snakemake
from coordinator.engine.execute import execute
from coordinator.engine.todo import find_dependents
from coordinator.scoring.settings import Scoring
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

CASES = ("a", "b", "c")
BASE, VERSION, SCORES = "toy/2-labels/base", "toy/2-labels/v", "toy/3-scores/v"
AFFINE = np.array([[1.5, 0.3, 0, -9], [-0.3, 1.4, 0.1, 5], [0, -0.1, 2.5, 40], [0, 0, 0, 1]], np.float64)


def make_dataset(data: Path, name: str = "toy", first: int = 0, cases: tuple[str, ...] = CASES) -> Path:
    """A dataset of random images with one organ; `first` seeds the first case's voxels."""
    folder = data / name
    for number, case in enumerate(cases):
        random = np.random.default_rng(first + number)
        labels = np.zeros((9, 8, 7), np.uint8)
        labels[2 : 5 + number % 3, 2:6, 1:5] = 1
        for kind, array in (("images", random.integers(-1000, 1000, (9, 8, 7), np.int16)), ("labels", labels)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, AFFINE), folder / kind / f"{case}.nii.gz")
    (folder / "dataset.yaml").write_text(f"name: {name}\nlabels: {{1: liver}}\n")
    return folder


def check(data: Path, name: str = "toy") -> DatasetCheck:
    return check_dataset(open_dataset(data, name))


def make_chain(data: Path, tolerance_mm: float = 3.0, base: str = "1") -> Plan:
    """The plan; `base` is the fingerprint of all, as if it were of the dataset's bytes."""
    common = {"dataset": "toy", "cases": 3}
    scoring = Scoring(tolerance_mm=tolerance_mm).as_json()
    planned = (
        Step(id=BASE, kind="labels", output=BASE, label_version="base", fingerprint=base, settings={"place": "labels", "cases": CASES}, **common),
        Step(
            id=VERSION, kind="remap", output=VERSION, label_version="v", fingerprint=base, needs=(BASE,),
            settings={"raw": BASE, "to_target": {"1": 1}}, **common,
        ),
        Step(
            id=SCORES, kind="score", output=f"{SCORES}.parquet", label_version="v", fingerprint=f"{base}-{tolerance_mm}",
            needs=(BASE, VERSION), also=("toy/3-scores/shells/v.parquet",),
            settings={"reference": BASE, "prediction": VERSION, "scoring": scoring}, **common,
        ),
    )  # fmt: skip
    about = {"cases": {"toy": list(CASES)}, "labels": {"toy": {"1": "liver"}}, "versions": {"toy": ["v"]}}
    return Plan("chain", str(data), None, planned, about)


def do_chain(run: Path, plan: Plan, *, verify: bool = False) -> tuple[list[str], list[str], list[int]]:
    """Do what a run would do, without the workflow engine: lines that a user reads, steps to do, exit codes."""
    lines: list[str] = []
    description = {"dataset.yaml": mark_file(Path(plan.data) / "toy/dataset.yaml")}
    (run / steps.MARKERS).mkdir(parents=True, exist_ok=True)
    inputs.write_planned(run, {"toy": description | dict(check(Path(plan.data)).files)})
    todo = snakemake.write_plan(run, plan, lines.append, verify=verify)
    again = find_dependents(plan, todo)
    codes = [execute(run, step.id) for step in plan.steps if step in todo or step in again]
    return lines, [step.id for step in todo], codes


def overwrite_alike(file: Path, content: bytes) -> None:
    """Overwrite a file with as many other bytes, and give it the time that it had."""
    before = file.stat()
    assert len(content) == before.st_size
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(file: Path) -> bytes:
    """The content of a file with its last bits flipped."""
    content = file.read_bytes()
    return content[:-1] + bytes([content[-1] ^ 255])


def flip_unseen(run: Path, step: str, file: str) -> None:
    """Flip bits of an output as a disk does: no stamp tells of it."""
    from contract.stamps import take_stamp
    from coordinator.engine import outputs

    overwrite_alike(run / file, flip(run / file))
    record = outputs.read_record(run, step)
    assert record is not None
    files = {**record.files, file: [record.files[file][0], take_stamp(run / file)]}
    outputs.save_record(run, step, record._replace(files=files))
