"""Labels of a generator that learns nothing from held-out cases, in a study in which every case is held out once."""

import json
from html import unescape
from pathlib import Path

import pytest
from helpers.balls import make_balls
from helpers.studies import read_contents, run_coordinator

from coordinator.results import load_run

pytestmark = [pytest.mark.long, pytest.mark.venvs]
STUDY = """
name: clean
datasets: [balls]
generators:
  - name: nnunet
    tool: nnunet
    options: {folds-over: training, epochs: 1, iterations-per-epoch: 2, validation-iterations: 1, patch: "16,16,8",
              features: "4,8", mirroring: false}
train:
  folds: 2
  seeds: [0]
  epochs: 1
  batches_per_epoch: 2
  patch: "16,16,8"
  filters: "6,12,24"
  options: {augment: false, validation-patches: 0}
run: {runtime: process, threads: 1}
"""


def test_nnunet_learns_in_each_fold_from_its_training_cases_alone(tmp_path: Path) -> None:
    make_balls(tmp_path / "data" / "balls", cases=10, corrected=1)
    (tmp_path / "study.yaml").write_text(STUDY)

    done = run_coordinator("run", tmp_path / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "clean"
    folder, plan = run / "datasets" / "balls", json.loads((run / "plan.json").read_text())
    for number, split in enumerate(plan["folds"]["balls"]):
        in_fold = folder / "folds" / str(number)
        dealt = json.loads((in_fold / "0-work/nnunet/prepare/cases.json").read_text())["folds"]
        assert sorted(case for cases in dealt for case in cases) == split["train"]
        for fold in range(5):
            record = json.loads((in_fold / f"0-work/nnunet/fold-{fold}/fold.json").read_text())
            assert set(record["trained_on"]) <= set(split["train"])
        for case in split["holdout"]:  # as a whole, the label version has the labels of the fold that holds a case out
            name = f"2-labels/nnunet/{case}.nii.gz"
            assert (folder / name).read_bytes() == (in_fold / name).read_bytes()
    loaded, before = load_run(run), read_contents(run)
    assert loaded.missing == ()
    assert (loaded.label_scores["case"].n_unique(), loaded.model_scores["case"].n_unique()) == (10, 10)
    assert "nnunet ‡ ¶" in unescape((run / "report" / "index.html").read_text())
    again = run_coordinator("run", tmp_path / "study.yaml")
    assert (again.returncode, read_contents(run)) == (0, before)
