"""Our numbers beside the paper's: whatever is known to differ stands below the table, by name."""

import json
from pathlib import Path

import polars as pl
import pytest
from helpers.runs import make_run, tool_record, write_json

from coordinator.report.papercomparison import compare_with_paper
from coordinator.report.texttables import TextTable
from coordinator.report.training import training_differences
from coordinator.results import paper
from coordinator.results.load import load_run
from coordinator.results.summaries import compute_results
from coordinator.study.settings import TrainSettings

LABELS, SEGTHOR, FLARE = "beside-paper-label-quality", "beside-paper-segthor", "beside-paper-flare"


def record(run: Path, version: str, tool: str, variant: str) -> None:
    """Say which tool made a label version."""
    write_json(run / f"datasets/word/1-raw/{version}/run.json", {**tool_record(tool), "variant": variant})


def fine_tune(run: Path, target: str) -> None:
    """Let all networks be fine-tuned on a target, with the scores that they have in-domain."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    plan["transfer"], plan["labels"][target] = [target], plan["labels"]["word"]
    plan["split"][target] = plan["split"]["word"]
    write_json(run / "plan.json", plan)
    for version in ("no-pretrain", "base", "nnunet"):
        source = (
            run / f"datasets/word/6-predictions/{'base' if version == 'no-pretrain' else version}/seed-0/scores.parquet"
        )
        place = run / f"transfer/{target}/word/6-predictions/{version}/seed-0"
        place.mkdir(parents=True)
        pl.read_parquet(source).drop("dataset", "version", "seed").write_parquet(place / "scores.parquet")


def tables(run: Path) -> dict[str, TextTable]:
    loaded = load_run(run)
    return {table.name: table for table in compare_with_paper(loaded, compute_results(loaded))}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = make_run(tmp_path)
    record(run, "nnunet", "nnunet", "3d_fullres")
    record(run, "medsam", "medsam", "lite")
    record(run, "totalseg", "totalseg", "total")
    record(run, "stunet-base", "stunet", "base")
    return run


def versions(table: TextTable) -> set[str]:
    return {row[0] for row in table.rows}


def test_litemedsam_beside_medsam_is_named_also_where_the_version_is_called_medsam(run: Path):
    table = tables(run)[LABELS]

    assert "medsam is LiteMedSAM, but the paper has MedSAM." in table.notes
    assert "medsam" in versions(table)


def test_medsam_itself_needs_no_such_note(run: Path):
    record(run, "medsam", "medsam", "vit-b")

    assert not any("LiteMedSAM" in note for note in tables(run)[LABELS].notes)


@pytest.mark.parametrize(("tool", "variant"), [("nnunet", "2d"), ("totalseg", "3mm"), ("degrade", "errors")])
def test_a_tool_that_the_paper_has_not_is_left_out_whatever_its_name(run: Path, tool: str, variant: str):
    record(run, "nnunet", tool, variant)

    assert versions(tables(run)[LABELS]) == {"medsam", "totalseg", "stunet-base"}


def test_a_version_whose_tool_was_not_recorded_is_left_out(run: Path):
    (run / "datasets/word/1-raw/nnunet/run.json").unlink()

    assert "nnunet" not in versions(tables(run)[LABELS])


def test_convention_tolerance_cases_and_organs_are_named(run: Path):
    notes = tables(run)[LABELS].notes

    assert "word: 5 cases (the paper has 100) and means over 3 organs (the paper's are over 15)." in notes
    assert (
        "Ours are scored by the convention flare21 with a tolerance of 1 mm; the paper states neither a rule for empty "
        "masks nor a tolerance." in notes
    )


def test_flare22_beside_the_papers_flare_is_named(run: Path):
    fine_tune(run, "flare22")

    notes = tables(run)[FLARE].notes
    assert notes[0] == (
        "flare22 (13 organs) stands beside the paper's FLARE, which by its reference is FLARE21 (4 organs)."
    )
    assert "Training differs in what the paper states: epochs 8 (the paper has 1000)." in notes
    assert "Ours are of 1 seed; the paper names no number of seeds." in notes


def test_the_papers_own_targets_need_no_such_note(run: Path):
    fine_tune(run, "segthor")

    table = tables(run)[SEGTHOR]
    assert not any("stands beside" in note for note in table.notes)
    assert versions(table) == {"no-pretrain", "base", "nnunet"}


def test_the_defaults_of_training_are_the_papers_where_it_states_one():
    assert training_differences(TrainSettings()) == []
    assert set(paper.TRAINING) <= set(TrainSettings.model_fields)
