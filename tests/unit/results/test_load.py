"""A run folder is read whatever is missing in it."""

from pathlib import Path

import pytest
from helpers.runs import plan, write_json

from contract.errors import UsageError
from coordinator.results.load import load_run
from coordinator.results.run import FAILURES, LABEL_SCORES, MODEL_SCORES, TRAINING_LOGS, Run
from coordinator.statistics import organ_table, summary
from coordinator.verdict.decide import findings


@pytest.fixture
def planned(tmp_path: Path) -> Run:
    """A run that was planned, and of which nothing is done."""
    write_json(tmp_path / "plan.json", plan(tmp_path))
    (tmp_path / "study.yaml").write_text("name: demo-study\n", encoding="utf-8")
    return load_run(str(tmp_path))


def test_frames_of_a_run_without_results_have_their_columns(planned: Run) -> None:
    columns = [f.columns for f in (planned.label_scores, planned.model_scores, planned.training_logs, planned.failures)]

    assert columns == [list(schema) for schema in (LABEL_SCORES, MODEL_SCORES, TRAINING_LOGS, FAILURES)]


def test_a_run_without_results_has_empty_tables_and_no_findings(planned: Run) -> None:
    assert organ_table(planned.label_scores, planned.score.empty).height == 0
    assert summary(planned.model_scores, planned.score.empty, planned.common_labels).height == 0
    assert findings(planned) == []


def test_a_run_shows_as_one_line(planned: Run) -> None:
    assert repr(planned) == (
        "<Run demo-study: word; nnunet, medsam, totalseg, stunet-base; 0 label scores, 0 model scores, 0 epochs; "
        "0 failed cases, 0 failed networks, 0 failed steps, 14 results missing>"
    )


@pytest.mark.parametrize(
    ("file", "reason"), [("study.yaml", "has no plan.json; check"), ("plan.json", "has no study.yaml; check")]
)
def test_what_is_missing_in_a_folder_that_is_no_run_is_named(tmp_path: Path, file: str, reason: str) -> None:
    (tmp_path / file).write_text("{}", encoding="utf-8")

    with pytest.raises(UsageError, match=f"must hold study.yaml and plan.json, but {reason}"):
        load_run(tmp_path)
