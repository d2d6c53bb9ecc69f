"""Runs in folds: every case is tested once, by the networks of its fold."""

from pathlib import Path

from helpers.mixedruns import drop_network, make_mixed_run

from coordinator.report import write_report
from coordinator.results.load import load_run
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
    folder = make_mixed_run(tmp_path / "run", tested=10, folds=5)
    drop_network(folder, "base", 1, fold=2)
    (tmp_path / "report").mkdir()

    run = load_run(folder)
    page = write_report(folder, tmp_path / "report").read_text()

    assert [network.name for network in run.failed_networks] == ["word: base, seed 1, fold 2"]
    kept = run.model_scores.filter(version="base")
    assert (set(kept["seed"]), kept["case"].n_unique()) == ({0, 2}, 10)
    assert "word: base, seed 1, fold 2, predicts none of the" in page
    assert "2 of 3 seeds" in page


def test_cases_of_one_patient_count_once(tmp_path: Path):
    groups = {f"case_{i:02d}": f"case_{i - i % 2:02d}" for i in range(8, 28)}

    finding = next(
        f for f in findings(load_run(make_mixed_run(tmp_path / "run", tested=20, groups=groups))) if f.organ is None
    )

    assert finding.cases == 10
