"""Label versions and networks whose rank another convention would change, as a table. Ranks are descriptive."""

from collections.abc import Iterator, Mapping

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results.run import Run
from coordinator.results.summaries import METRICS
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.verdict.ranking import rank_versions
from coordinator.verdict.sentences import NO_NUMBER


def ranking_table(run: Run) -> TextTable | None:
    """Ranks under each convention of those whose rank changes; None where all conventions rank alike."""
    frames = [
        rank_versions(scores, run.common_labels).filter("changes").select(pl.lit(kind).alias("ranked"), pl.all())
        for kind, scores in (("labels", run.label_scores), ("networks", run.model_scores))
        if not scores.is_empty()
    ]
    ranks = pl.concat(frames) if frames else pl.DataFrame()
    if ranks.is_empty():
        return None
    return TextTable(
        name="rankings",
        caption="Ranks that depend on the convention: rank and, in brackets, mean in percent under each convention.",
        columns=("ranked", "dataset", "metric", "label version", *CONVENTIONS),
        rows=tuple(_rows(ranks)),
        notes=(
            f"This report follows {run.score.empty}. Only label versions whose rank differs between conventions are "
            "listed. Ranks order the means of these cases, and no test tells whether other cases would give the same "
            "order. The conventions' rules for empty masks and for little overlap are applied; tolerances stay those "
            "of the scores.",
        ),
        tidy=ranks,
    )


def _rows(ranks: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """A row for each kind, dataset, metric and version; a cell for each convention."""
    keys = ["ranked", "dataset", "metric", "version"]
    for (kind, dataset, metric, version), rows in ranks.group_by(keys, maintain_order=True):
        cells = {row["convention"]: _format_rank(row) for row in rows.iter_rows(named=True)}
        yield str(kind), str(dataset), METRICS[str(metric)], str(version), *(cells[name] for name in CONVENTIONS)


def _format_rank(row: Mapping[str, float | None]) -> str:
    """A rank with its mean, such as "2 (87.4)"."""
    return NO_NUMBER if row["rank"] is None or row["mean"] is None else f"{row['rank']} ({100 * row['mean']:.1f})"
