"""A tool with two steps for the tests of the conformance check; the file `broken` names what it does wrong."""

import json
import time
from pathlib import Path

import numpy as np

from contract import Case, Cases, Context, Job, LabelMap, run
from contract.volumes import read_image, read_labels

BROKEN = (Path(__file__).parent / "broken").read_text()
ORGAN = 4


def learn(context: Context) -> None:
    """Learn the mean HU of an organ in all cases, from the reference labels or from a label version."""
    has_label_version = "labels" in context.manifest.steps["learn"].inputs
    cases = context.cases
    if has_label_version:
        cases = json.loads((context.input_folder("split") / "split.json").read_text())["train"]
    means = []
    for case in cases:
        image = read_image(context.dataset.image(case))
        file = context.input_folder("labels") / f"{case}.nii.gz" if has_label_version else context.dataset.label(case)
        means.append(float(image.array[read_labels(file, image) == ORGAN].mean()))
        time.sleep(0.05)
    extra = {"when": time.time()} if BROKEN == "stop" else {}
    (context.folder / "learnt.json").write_text(json.dumps({"hu": np.mean(means), **extra}))


def load(context: Context) -> float:
    """Load the threshold."""
    learnt = json.loads((context.input_folder("learnt") / "learnt.json").read_text())["hu"]
    shift = 10 if BROKEN == "whole" and context.step_folders else 0
    return max(learnt, float(context.options["lowest-hu"])) + shift


def mark(lowest_hu: float, case: Case) -> LabelMap:
    """Mark bright voxels."""
    return (case.image.array >= lowest_hu).astype(np.uint8)


if __name__ == "__main__":
    raise SystemExit(run(__file__, {"learn": Job(learn), "mark": Cases(load, mark)}))
