"""Whole studies, as users run them: the command line, real tools, real volumes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import docker
import numpy as np
import polars as pl
import pytest
from helpers.studies import SMALL, read_contents, run_coordinator

from contract.datasets import case_names
from coordinator.datasets.phantom import make_phantom
from coordinator.results import load_run


@pytest.mark.venvs
def test_a_study_goes_from_volumes_to_a_report_and_a_bad_case_is_listed(
    small: Path, small_done: "subprocess.CompletedProcess[str]"
) -> None:
    run = small.parent / "runs" / "small"

    assert small_done.returncode == 3, small_done.stdout + small_done.stderr
    assert "phantom/phantom_002" in small_done.stdout
    page = (run / "report" / "index.html").read_text()
    assert "phantom_002" in page
    assert "degraded-60" in page
    dice = {
        name: pl.read_parquet(run / "datasets" / "phantom" / "3-scores" / f"{name}.parquet")["dice"].drop_nans().mean()
        for name in ("degraded-90", "degraded-60")
    }
    failed = load_run(run).failed_networks
    assert failed, "four batches teach nothing"
    assert all(f"{network.name}: {network.reason}" in small_done.stdout for network in failed)
    assert dice["degraded-90"] == pytest.approx(0.9, abs=0.03)
    assert dice["degraded-60"] == pytest.approx(0.6, abs=0.03)
    held = json.loads((run / "plan.json").read_text())["split"]["phantom"]["holdout"]
    assert case_names(run / "datasets" / "phantom" / "6-predictions" / "base" / "seed-0") == held


@pytest.mark.venvs
@pytest.mark.usefixtures("small_done")
def test_a_further_run_does_nothing(small: Path) -> None:
    run = small.parent / "runs" / "small"
    before = read_contents(run)

    done = run_coordinator("run", small)

    assert "steps are done" in done.stdout
    assert read_contents(run) == before


@pytest.mark.venvs
@pytest.mark.usefixtures("small_done")
def test_a_report_that_is_made_again_has_the_same_bytes(small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small.parent / "runs" / "small", tmp_path / "small", symlinks=True)
    before = {name: content for name, content in read_contents(run).items() if name.startswith("report/")}
    assert before

    for seed in "123":  # the order of sets of texts differs with it
        shutil.rmtree(run / "report")
        assert run_coordinator("report", run, environment={"PYTHONHASHSEED": seed}).returncode == 0
        after = read_contents(run)
        assert [name for name, content in before.items() if after[name] != content] == []


@pytest.mark.venvs
@pytest.mark.usefixtures("small_done")
def test_the_dataset_is_never_written_to(small: Path) -> None:
    names = {p.name for p in (small.parent / "data" / "phantom").iterdir()}
    assert names == {"dataset.yaml", "images", "labels"}


@pytest.mark.long
@pytest.mark.venvs
def test_networks_are_fine_tuned_on_another_dataset_beside_ones_from_scratch(tmp_path: Path) -> None:
    make_phantom(tmp_path / "data" / "phantom", cases=4, shape=(32, 28, 12))
    make_phantom(tmp_path / "data" / "target", cases=4, shape=(28, 32, 12), seed=1)
    text = SMALL.replace("name: small", "name: pretraining") + "transfer: [target]\n"
    (tmp_path / "study.yaml").write_text(text)

    done = run_coordinator("run", tmp_path / "study.yaml")

    run = tmp_path / "runs" / "pretraining"
    assert done.returncode == 0, done.stdout + done.stderr
    tuned = run / "transfer" / "target" / "phantom"
    identities = {
        name: json.loads((tuned / "5-models" / name / "seed-0" / "identity.json").read_text())
        for name in ("no-pretrain", "base", "degraded-90", "degraded-60")
    }
    plan = json.loads((run / "datasets" / "phantom" / "5-models" / "base" / "seed-0" / "identity.json").read_text())[
        "plan"
    ]
    assert all(identity["plan"] == plan for identity in identities.values())
    assert identities["no-pretrain"]["config"]["parent"] is None
    assert len({identity["config"]["parent"] for identity in identities.values()}) == 4
    assert len({identity["config"]["labels"] for identity in identities.values()}) == 1
    table = pl.read_csv(next((run / "report" / "tables").glob("transfer*.csv")))
    assert set(table["version"]) >= {"no-pretrain", "base", "degraded-60"}


@pytest.mark.samples
@pytest.mark.venvs
def test_a_study_of_images_without_labels_is_refused_before_anything_runs(samples: Path, tmp_path: Path) -> None:
    text = f"name: x\ndata: {samples / 'datasets'}\ndatasets: [crlm]\ngenerators: [medsam]\nrun: {{runtime: process}}\n"
    (tmp_path / "study.yaml").write_text(text)

    done = run_coordinator("run", tmp_path / "study.yaml")

    assert done.returncode == 2
    assert "crlm: a study compares label versions with reference labels" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.samples
@pytest.mark.venvs
def test_on_real_ct_docker_and_processes_give_the_same_voxels_and_medsam_is_good(
    samples: Path, engine: docker.DockerClient, tmp_path: Path
) -> None:
    generators = "[medsam-lite, {name: degraded, tool: degrade, options: {target-dice: 0.8}}]"
    written = {}
    for runtime in ("process", "docker"):
        text = f"name: {runtime}\ndata: {samples / 'datasets'}\ndatasets: [tsmini]\ngenerators: {generators}\n"
        (tmp_path / f"{runtime}.yaml").write_text(text)
        done = run_coordinator("run", tmp_path / f"{runtime}.yaml", "--runtime", runtime)
        assert done.returncode == 0, done.stdout + done.stderr
        labels = tmp_path / "runs" / runtime / "datasets" / "tsmini" / "2-labels"
        written[runtime] = {str(p.relative_to(labels)): p.read_bytes() for p in sorted(labels.rglob("*.nii.gz"))}
        owners = {p.stat().st_uid for p in labels.rglob("*")}
        assert owners == {os.getuid()}

    scores = pl.read_parquet(tmp_path / "runs" / "docker" / "datasets" / "tsmini" / "3-scores" / "medsam-lite.parquet")
    present = scores.filter(pl.col("reference_voxels") > 0)
    means = present.group_by("case").agg(pl.col("dice").mean()).sort("case")["dice"].to_list()
    assert written["process"].keys() == written["docker"].keys()
    assert written["process"] == written["docker"]
    assert np.min(means) >= 0.75, means
