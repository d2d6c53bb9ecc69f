"""The table of what label versions agree on."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from helpers.runs import make_run

from coordinator.report.agreement import agreement_table
from coordinator.results import load_run
from coordinator.results.run import AGREEMENT, Run


@pytest.fixture
def loaded(tmp_path: Path) -> Run:
    return load_run(make_run(tmp_path))


def with_agreement(run: Run, rows: list[tuple[str, str, float]]) -> Run:
    """The run with Dice of a case's first organ: (case, version, Dice)."""
    dataset = run.datasets[0]
    label = dataset.common[0]
    frame = [(dataset.name, case, label, dataset.labels[label], version, dice) for case, version, dice in rows]
    return replace(run, agreement=pl.DataFrame(frame, AGREEMENT, orient="row"))


def test_versions_are_compared_on_the_cases_that_all_of_them_have(loaded: Run):
    versions = (loaded.reference, *loaded.datasets[0].versions[:2])
    shared = [("a", version, 0.9 - 0.1 * i) for i, version in enumerate(versions)]
    hard = [("b", version, 0.1) for version in versions[:2]]

    table = agreement_table(with_agreement(loaded, shared + hard), loaded.datasets[0])

    assert table is not None
    assert table.rows == tuple((v, f"{90 - 10 * i}.0", "1") for i, v in enumerate(versions))
    assert (
        f"Each of 3 label versions is compared with the other 2. The reference labels ({loaded.reference})"
        in table.notes[0]
    )


def test_organs_that_nobody_has_in_a_case_count_in_no_mean(loaded: Run):
    versions = (loaded.reference, *loaded.datasets[0].versions[:2])
    rows = [(case, version, dice) for case, dice in (("a", 0.8), ("b", float("nan"))) for version in versions]

    table = agreement_table(with_agreement(loaded, rows), loaded.datasets[0])

    assert table is not None
    assert table.rows == tuple((version, "80.0", "1") for version in versions)


def test_without_three_versions_there_is_no_table(loaded: Run):
    assert agreement_table(loaded, loaded.datasets[0]) is None
