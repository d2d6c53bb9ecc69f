"""How the report shows networks that failed: a dash of its own, the seeds that remain, and the reasons."""

from pathlib import Path

import polars as pl
import pytest
from helpers.reports import has_nan, make_report, visible_text
from helpers.scoredruns import (
    TARGET,
    VERSIONS,
    diverge,
    make_scored_run,
    predict_elsewhere,
    predict_nothing,
    put,
    scores_file,
    write_json,
)

AORTA = pl.col("label") == 3


def read(report: Path, table: str) -> str:
    return (report / "tables" / table).read_text(encoding="utf-8")


def test_two_networks_that_learned_nothing_get_no_verdict(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,), held_out=3, versions=("nnunet",))
    predict_elsewhere(scores_file(run, "base", 0))
    predict_nothing(scores_file(run, "nnunet", 0))

    report = make_report(run)

    text = visible_text(report / "index.html")
    assert "Nothing failed." not in text
    assert "4 networks failed, in no mean and compared with none" in text  # two of them fine-tuned from the others
    assert "word: base, seed 0 has Dice 0.0 on the held-out cases, below the floor of 5" in text
    assert "word: nnunet, seed 0 predicts none of the 26,139 voxels that the reference labels have" in text
    assert "All networks that were tested failed, so what better labels gain remains open." in text
    assert "word, in-domain, nnunet: not worth it" not in text
    assert "one of each" not in text  # none were compared
    assert "| base | Dice | — |" in read(report, "in-domain.md")
    assert "| nnunet | Dice | — |" in read(report, "in-domain.md")
    assert not has_nan(report)


def test_a_fine_tuned_network_of_dice_0_is_a_dash_and_never_bold(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,), versions=("nnunet",))
    predict_elsewhere(scores_file(run, "nnunet", 0, TARGET))

    report = make_report(run)

    table = read(report, "transfer-segthor.md")
    assert "| nnunet | Dice | — |" in table and "**" not in table
    assert "word to segthor: nnunet, seed 0, has Dice 0.0 on the held-out cases, below the floor of 5" in table
    assert r"nnunet & Dice & --- \\" in read(report, "transfer-segthor.tex")
    assert "pre-training for segthor, nnunet: worth it" not in visible_text(report / "index.html")
    seeds = pl.read_csv(report / "tables/transfer-segthor.csv").select("version", "dice", "seeds", "seeds_failed")
    assert seeds.filter(pl.col("version") == "nnunet").rows() == [("nnunet", None, 0, 1)]


def test_a_network_is_not_the_best_because_all_others_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    predict_nothing(scores_file(run, "medsam", 0))

    report = make_report(run)

    assert "**" not in read(report, "in-domain.md")
    # Its fine-tuned network began from one that had learned nothing, so nnunet's has no other to be better than there.
    assert "**" not in read(report, "transfer-segthor.md")


@pytest.mark.parametrize("target", [None, TARGET])
def test_a_diverged_seed_of_three_is_marked_where_its_version_stands(tmp_path: Path, target: str | None):
    run = make_scored_run(tmp_path / "run")
    diverge(run, "nnunet", 1, target)

    report = make_report(run)

    name = f"transfer-{target}" if target else "in-domain"
    table = read(report, f"{name}.md")
    assert "| nnunet | Dice | **85.8 ± 0.7 (2 of 3 seeds)** |" in table  # the mean of 86.0 and 85.6
    assert table.count("of 3 seeds") == 1
    assert "nnunet, seed 1, did not converge: the loss or the gradient is nan at step 7" in table
    seeds = pl.read_csv(report / f"tables/{name}.csv").select("version", "seeds", "seeds_failed")
    assert {v: (kept, failed) for v, kept, failed in seeds.iter_rows()} == {
        "base": (3, 0), "nnunet": (2, 1), "medsam": (3, 0)
    } | ({"no-pretrain": (3, 0)} if target else {})  # fmt: skip


def test_organs_cases_and_figure_show_what_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run")
    for seed in (0, 1, 2):
        predict_nothing(scores_file(run, "medsam", seed), AORTA)
    predict_nothing(scores_file(run, "nnunet", 2), AORTA)

    report = make_report(run)

    organs = read(report, "in-domain-organs-word.md")
    assert "| base | nnunet (2 of 3 seeds) | medsam |" in organs
    assert [line.split(" | ")[-1] for line in organs.splitlines() if line.startswith("| liver")] == ["— |"]
    seeds = pl.read_csv(report / "tables/in-domain-organs-word.csv").select("version", "seeds_failed").unique()
    assert set(seeds.iter_rows()) == {("base", 0), ("nnunet", 1)}
    text = visible_text(report / "index.html")
    left_out = "Left out, since they failed: networks trained on nnunet (seed 2) and medsam (seeds 0, 1 and 2)."
    assert text.count(left_out) == 2  # under Figure 2 and over the table of cases
    html = (report / "index.html").read_text(encoding="utf-8")
    cases = html[html.index('data-table="cases-word"') :].split("</table>")[0]
    assert cases.count("—") == 5  # one for each held-out case
    assert "network: medsam" in cases


def test_a_seed_that_is_missing_is_not_shown_as_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run")
    scores_file(run, "nnunet", 1).unlink()

    report = make_report(run)

    assert "(2 of 3 seeds)" in read(report, "in-domain.md") and "—" not in read(report, "in-domain.md")
    text = visible_text(report / "index.html")
    assert "networks failed" not in text and "word: test scores of the network trained on nnunet, seed 1" in text


def test_the_base_network_s_failure_is_the_reason_that_nothing_is_compared(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    predict_nothing(scores_file(run, "base", 0))

    text = visible_text(make_report(run) / "index.html")

    assert "The network trained on the reference labels failed, so the others can&#39;t be compared with it." in text
    assert not [v for v in VERSIONS if f"word, in-domain, {v}: can&#39;t tell" not in text]


def test_training_curves_and_dose_and_response_name_what_failed(tmp_path: Path):
    run = make_scored_run(tmp_path / "run", seeds=(0,))
    for version in VERSIONS:
        write_json(run / f"datasets/word/1-raw/{version}/run.json", {"tool": "degrade", "options": {}})
        log = pl.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.9], "learning_rate": [1e-3] * 2})
        put(run / f"datasets/word/5-models/{version}/seed-0/log.parquet", log)
    predict_elsewhere(scores_file(run, "nnunet", 0))

    report = make_report(run)

    text = visible_text(report / "index.html")
    assert "Also drawn, though they failed: networks trained on nnunet (seed 0)." in text
    dose = read(report, "dose-response-word.md")
    assert "Left out, since they failed: networks trained on nnunet (seed 0)." in dose and "| nnunet" not in dose
