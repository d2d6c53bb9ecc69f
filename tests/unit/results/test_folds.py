"""Runs in folds: every case is tested once, by the networks of its fold."""

import json
import shutil
from pathlib import Path

from helpers.mixedruns import fail, make_mixed_run

from contract.errors import CaseError
from contract.records import CaseStatus, write_statuses
from coordinator.report import write_report
from coordinator.results.load import load_run
from coordinator.results.provenance import tools
from coordinator.statistics.gains import make_cube
from coordinator.verdict.decide import findings


def test_all_cases_are_tested_and_each_knows_its_fold(tmp_path: Path):
    run = load_run(make_mixed_run(tmp_path / "run", tested=10, folds=5))

    dataset = run.datasets[0]
    cube = make_cube(run.model_scores, "flare21", dataset.common)

    assert (len(dataset.splits), len(dataset.held_out), len(dataset.trained)) == (5, 10, 10)
    assert cube.folds == (0, 1, 2, 3, 4) * 2
    assert dataset.network_folder("case_07") == "datasets/word/folds/2"
    mean = next(f for f in findings(run) if f.organ is None)
    assert (mean.cases, mean.seeds) == (10, 3)


def test_a_seed_that_failed_in_one_fold_is_left_out_of_all_and_named(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run", tested=20, folds=5)
    fail(folder, "base", 1, fold=2)
    (tmp_path / "report").mkdir()

    run = load_run(folder)
    page = write_report(folder, tmp_path / "report").read_text()

    assert [network.name for network in run.failed_networks] == ["word: base, seed 1, fold 2"]
    kept = run.model_scores.filter(version="base")
    assert (set(kept["seed"]), kept["case"].n_unique()) == ({0, 2}, 20)
    assert "word: base, seed 1, fold 2, predicts none of the" in page
    assert "2 of 3 seeds" in page


def test_each_dataset_is_judged_by_its_own_folds(tmp_path: Path):
    """Networks of one name and seed on two datasets were taken for the folds of one."""
    folder = make_mixed_run(tmp_path / "run", tested=20, folds=5)
    fail(folder, "base", 1, fold=2)
    plan = json.loads((folder / "plan.json").read_text())
    for key in ("versions", "cases", "labels", "common_labels", "covered", "groups", "folds"):
        plan[key] = {"other": plan[key]["word"], "word": plan[key]["word"]}
    (folder / "plan.json").write_text(json.dumps(plan))
    shutil.copytree(folder / "datasets/word", folder / "datasets/other")
    shutil.rmtree(folder / "datasets/other/folds/0/6-predictions/base/seed-0")

    run = load_run(folder)

    assert [network.name for network in run.failed_networks] == [
        "other: base, seed 1, fold 2",
        "word: base, seed 1, fold 2",
    ]
    kept = {name: set(run.model_scores.filter(dataset=name, version="base")["seed"]) for name in ("other", "word")}
    assert kept == {"other": {2}, "word": {0, 2}}
    assert run.model_scores.filter(dataset="word", version="base", seed=0)["case"].n_unique() == 20


def test_cases_of_one_patient_count_once(tmp_path: Path):
    groups = {f"case_{i:02d}": f"case_{i - i % 2:02d}" for i in range(8, 28)}

    finding = next(
        f for f in findings(load_run(make_mixed_run(tmp_path / "run", tested=20, groups=groups))) if f.organ is None
    )

    assert finding.cases == 10


def test_an_organ_that_is_missed_in_the_few_cases_of_a_fold_is_no_failure(tmp_path: Path):
    """It was: with many folds, one hard organ left every seed out."""
    folder = make_mixed_run(tmp_path / "run", tested=20, folds=10)
    for seed in range(3):
        fail(folder, "base", seed, fold=seed, labels=[2])

    run = load_run(folder)

    assert run.failed_networks == ()
    assert run.model_scores.filter(version="base").select("seed", "case").n_unique() == 3 * 20


def test_an_organ_that_a_seed_misses_in_all_folds_is_a_failure(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run", tested=20, folds=10)
    for fold in range(10):
        fail(folder, "base", 1, fold, labels=[2])

    (network,) = load_run(folder).failed_networks

    assert (network.name, network.reason) == (
        "word: base, seed 1", "predicts spleen in none of the 20 held-out cases that have it",
    )  # fmt: skip


def test_a_seed_that_lacks_a_fold_is_compared_with_none_and_that_is_said(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run", tested=10, folds=5)
    shutil.rmtree(folder / "datasets/word/folds/3/6-predictions/base/seed-1")

    run = load_run(folder)

    assert set(run.model_scores.filter(version="base")["seed"]) == {0, 2}
    assert (
        "word: the networks trained on base, seed 1, are compared with none, since only 4 of 5 folds have scores"
        in run.missing
    )


def test_labels_that_were_made_anew_in_each_fold_are_marked_and_their_failures_name_the_fold(tmp_path: Path):
    folder = make_mixed_run(tmp_path / "run", tested=10, folds=5)
    plan = json.loads((folder / "plan.json").read_text())
    plan["marks"] = {"base": {"made_in_folds": True}}
    (folder / "plan.json").write_text(json.dumps(plan))
    for fold in range(5):
        raw = folder / f"datasets/word/folds/{fold}/1-raw/base"
        raw.mkdir(parents=True)
        (raw / "run.json").write_text(json.dumps({"tool": "nnunet", "version": "1", "options": {}}))
    write_statuses(
        folder / "datasets/word/folds/3/1-raw/base", {"case_01": CaseStatus.failed("case_01", CaseError("dark"))}
    )
    (tmp_path / "report").mkdir()

    run = load_run(folder)
    page = write_report(folder, tmp_path / "report").read_text()

    assert run.failures.rows() == [("word", "base", "labels in fold 3", "case_01", "dark")]
    assert [(facts.purpose, facts.tool) for facts in tools(run)] == [("labels of base", "nnunet 1")]
    assert "base ¶" in page
    assert "Made anew in each fold, by networks that learned from its training cases alone" in page
