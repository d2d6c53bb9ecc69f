"""Where the rule decides: label versions whose rank another convention would change, as a table."""

from collections.abc import Iterator, Mapping

import polars as pl

from coordinator.report.sheets import Sheet
from coordinator.results.run import Run
from coordinator.results.summaries import METRICS
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.verdict.ranking import rankings
from coordinator.verdict.sentences import NO_NUMBER


def changed_rankings(run: Run) -> Sheet | None:
    """Ranks of label versions and of networks under each convention; None where all conventions rank alike."""
    frames = [
        rankings(scores, run.common_labels).filter("changes").select(pl.lit(judged).alias("ranked"), pl.all())
        for judged, scores in (("labels", run.label_scores), ("networks", run.model_scores))
        if not scores.is_empty()
    ]
    ranks = pl.concat(frames) if frames else pl.DataFrame()
    if ranks.is_empty():
        return None
    return Sheet(
        name="rankings",
        caption="Where the convention decides: rank (and mean in percent) of a label version under each one.",
        columns=("ranked", "dataset", "metric", "label version", *CONVENTIONS),
        rows=tuple(_rows(ranks)),
        notes=(
            f"This report follows {run.score.empty}. Only versions whose rank differs between conventions are shown. "
            "Rules for empty masks and for little overlap differ here; tolerances stay those of the scores.",
        ),
        tidy=ranks,
    )


def _rows(ranks: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """A row for each thing ranked, dataset, metric and version; a cell a convention."""
    keys = ["ranked", "dataset", "metric", "version"]
    for (ranked, dataset, metric, version), rows in ranks.group_by(keys, maintain_order=True):
        cells = {row["convention"]: _cell(row) for row in rows.iter_rows(named=True)}
        yield str(ranked), str(dataset), METRICS[str(metric)], str(version), *(cells[name] for name in CONVENTIONS)


def _cell(row: Mapping[str, float | None]) -> str:
    """Such as "2 (87.4)"."""
    return NO_NUMBER if row["rank"] is None or row["mean"] is None else f"{row['rank']} ({100 * row['mean']:.1f})"
