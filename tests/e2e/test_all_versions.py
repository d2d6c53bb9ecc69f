"""The paper's comparison, small: every generator on phantoms, to a filled Table 1.

nnU-Net learns in its five folds, three minutes of one core each; the others come with stand-in weights.
"""

import csv
from pathlib import Path

import pytest
from helpers.standins import STANDINS
from helpers.studies import run_coordinator

from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom

pytestmark = [pytest.mark.long, pytest.mark.venvs]
STUDY = """
name: everything
data: data
weights: {weights}
datasets: [phantom]
generators:
  - name: nnunet
    tool: nnunet
    options: {{epochs: 16, iterations-per-epoch: 120, validation-iterations: 2, patch: "32,32,16", features: "8,16,32",
               learning-rate: 0.3, mirroring: false}}  # a short training needs a larger rate than nnU-Net's
  - medsam-lite
  - stunet-small
  - stunet-base
  - stunet-large
  - stunet-huge
  - totalseg-3mm
run: {{runtime: process, threads: 1}}
"""
VERSIONS = ["nnunet", "medsam-lite", "stunet-small", "stunet-base", "stunet-large", "stunet-huge", "totalseg-3mm"]


def test_all_eight_versions_run_and_fill_table_1(tmp_path: Path) -> None:
    make_phantom(tmp_path / "data" / "phantom", cases=5, shape=(64, 52, 18))
    (tmp_path / "study.yaml").write_text(STUDY.format(weights=STANDINS))

    done = run_coordinator("run", tmp_path / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "everything"
    with (run / "report" / "tables" / "label-quality-organs-phantom.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["organ"] for row in rows} == set(LABELS.values())
    assert {row["version"] for row in rows} == set(VERSIONS)
    mean = {v: sum(float(r["dice"]) for r in rows if r["version"] == v) / len(LABELS) for v in VERSIONS}
    assert {v: dice for v, dice in mean.items() if dice < 0.7} == {}
    assert sorted(p.name for p in (run / "datasets" / "phantom" / "2-labels").iterdir()) == sorted(["base", *VERSIONS])
