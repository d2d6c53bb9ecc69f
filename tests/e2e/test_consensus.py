"""A study of imperfect label versions and what they agree on."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.studies import run_coordinator

from coordinator.datasets.phantom import make_phantom
from coordinator.results import load_run

STUDY = """
name: agreed
datasets: [phantom]
generators:
  - {name: together, tool: consensus}
  - {name: weighed, tool: consensus, variant: staple, of: [v0, v1, v2]}
  - {name: v0, tool: degrade, options: {target-dice: 0.7, seed: 0}}
  - {name: v1, tool: degrade, options: {target-dice: 0.7, seed: 1}}
  - {name: v2, tool: degrade, options: {target-dice: 0.75, seed: 2}}
run: {runtime: process, threads: 1}
"""


@pytest.mark.venvs
def test_a_consensus_of_three_imperfect_versions_is_at_least_as_good_as_the_median_of_them(tmp_path: Path) -> None:
    make_phantom(tmp_path / "data" / "phantom", cases=3, shape=(48, 40, 24))
    (tmp_path / "study.yaml").write_text(STUDY)

    done = run_coordinator("run", tmp_path / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    loaded = load_run(tmp_path / "runs" / "agreed")
    rows = loaded.label_scores.group_by("version").agg(pl.col("dice").drop_nans().mean())
    quality = dict(rows.iter_rows())
    median = sorted(quality[name] for name in ("v0", "v1", "v2"))[1]
    assert min(quality["together"], quality["weighed"]) >= median, quality
    assert all(loaded.made_from_reference(name) for name in ("together", "weighed"))
    record = json.loads((tmp_path / "runs/agreed/datasets/phantom/1-raw/together/run.json").read_text())
    assert record["label_versions"] == ["v0", "v1", "v2"]
