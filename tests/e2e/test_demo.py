"""The demo's verdict is the truth of its phantoms, and two held-out cases are too few for one."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers.studies import run_coordinator

from coordinator.datasets.phantom import make_phantom

pytestmark = [pytest.mark.long, pytest.mark.venvs]
DEMO = Path(__file__).resolve().parents[2] / "studies" / "demo.yaml"
DEGRADED = "degraded-85"


def verdict(folder: Path, **train: object) -> dict[str, object]:
    """Run the demo's study without MedSAM, with other settings of `train`; the finding on the degraded labels."""
    study = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    study |= {"data": "data", "out": "runs", "generators": [g for g in study["generators"] if g != "medsam-lite"]}
    study["train"] |= train
    make_phantom(folder / "data" / "phantom", cases=10)
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")

    done = run_coordinator("run", folder / "study.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    found = pl.read_csv(folder / "runs" / "demo" / "report" / "tables" / "verdict.csv")
    assert found["version"].to_list() == [DEGRADED]
    return found.row(0, named=True)


def test_worse_labels_make_worse_networks_and_the_verdict_does_not_deny_it(tmp_path: Path) -> None:
    found = verdict(tmp_path)

    assert found["gain"] > 0.03
    assert found["outcome"] != "not worth it"
    assert (found["base_seeds"], found["seeds"], found["seed_source"]) == (2, 2, "measured")


def test_two_held_out_cases_cannot_tell(tmp_path: Path) -> None:
    found = verdict(tmp_path, holdout=0.2, seeds=[0])

    assert (found["outcome"], found["cases"]) == ("can't tell", 2)
    assert found["reason"] == "2 held-out cases"
