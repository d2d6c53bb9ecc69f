"""Leaks: scans that something was trained on and is tested with, each with its cases."""

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results.run import Run
from coordinator.study.leaks import Leak

MOST_CASES = 20
"""Cases of a leak that its row lists; the csv lists all."""
SCHEMA = {"about": pl.String, "sure": pl.String, "sentence": pl.String, "case": pl.String}


def leak_table(run: Run) -> TextTable | None:
    """A row for each leak of a study; None without any, and where an earlier release planned it."""
    if not run.leaks:
        return None
    rows = [(leak.about, leak.sure, leak.sentence, case) for leak in run.leaks for case in leak.cases or (None,)]
    return TextTable(
        name="leaks",
        caption="What may have been trained on scans that it is tested with?",
        columns=("datasets", "how sure", "what is known, and what follows", "cases"),
        rows=tuple((leak.about, leak.sure, leak.sentence, _list_cases(leak)) for leak in run.leaks),
        notes=(
            "Scans are compared by their voxels; copies that are cropped at the ends of an axis, rescaled by whole "
            "numbers or clipped are found, those that are resampled or filtered are not. Where only names of datasets "
            "are known, nothing says which scans are concerned. What nobody published is not listed.",
        ),
        tidy=pl.DataFrame(rows, SCHEMA, orient="row"),
    )


def describe_no_leaks(run: Run) -> str:
    """What stands in place of the table."""
    if run.leaks is None:
        return "The plan of this study does not say: an earlier release made it. Run the study again."
    return (
        "No scan was found in two datasets of this study or twice in one, and nothing is known here that says that its "
        "datasets share scans or that its generators were trained on them."
    )


def _list_cases(leak: Leak) -> str:
    further = len(leak.cases) - MOST_CASES
    return ", ".join(leak.cases[:MOST_CASES]) + (f" and {further} more" if further > 0 else "")
