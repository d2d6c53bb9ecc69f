"""The demo's verdict is the truth of its phantoms, and two held-out cases are too few for one."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers.studies import run_coordinator

from coordinator.datasets.phantom import make_phantom

pytestmark = [pytest.mark.long, pytest.mark.venvs]
DEMO = Path(__file__).resolve().parents[2] / "studies" / "demo.yaml"
DEGRADED = ["degraded-90", "degraded-55"]


def verdict(folder: Path, **train: object) -> dict[str, dict[str, object]]:
    """Run the demo's study without MedSAM, with other settings of `train`; degraded version -> its finding."""
    study = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    study |= {"data": "data", "out": "runs", "generators": [g for g in study["generators"] if g != "medsam-lite"]}
    study["train"] |= train
    make_phantom(folder / "data" / "phantom", cases=10)
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")

    done = run_coordinator("run", folder / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    found = pl.read_csv(folder / "runs" / "demo" / "report" / "tables" / "verdict.csv")
    assert found["version"].to_list() == DEGRADED
    return {row["version"]: row for row in found.iter_rows(named=True)}


def test_worse_labels_make_worse_networks_and_the_verdict_says_so(tmp_path: Path) -> None:
    found = verdict(tmp_path)

    assert "not worth it" not in [found[version]["outcome"] for version in DEGRADED]
    assert 0 < found["degraded-90"]["gain"] < found["degraded-55"]["gain"]
    assert [(found[version]["base_seeds"], found[version]["seeds"]) for version in DEGRADED] == [(3, 1), (3, 1)]


def test_two_held_out_cases_cannot_tell(tmp_path: Path) -> None:
    found = verdict(tmp_path, holdout=0.2, noise_seeds=[])

    for finding in found.values():
        assert finding["outcome"] == "can't tell"
        assert finding["cases"] == 2
        assert finding["reason"] == "2 held-out cases"
