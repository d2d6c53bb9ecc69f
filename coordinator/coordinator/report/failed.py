"""How tables and captions show that networks failed: a sign, the number of seeds that remain, and the reasons."""

from collections.abc import Collection

import polars as pl

from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Run
from coordinator.verdict.sentences import join_names

FAILED = "—"  # as in the paper's Tables 2 and 3
LEFT_OUT = "Left out, since they failed"


def note_seeds(run: Run, kept: int | None, failed: int) -> str:
    """How many networks a mean is over, such as "2 of 3 seeds"; empty where it is over all that were planned.

    Args:
        run: the run.
        kept: networks with scores; None for numbers that are of no network.
        failed: networks that failed.
    """
    planned = 0 if kept is None else max(len(run.seeds), kept + failed)
    return f"{kept} of {planned} seeds" if kept is not None and kept < planned else ""


def failed_notes(run: Run, target: str | None = None, dataset: str | None = None) -> tuple[str, ...]:
    """The note below a table that says which networks failed and why; none where none did.

    Args:
        run: the run.
        target: whose fine-tuned networks the table shows; None in-domain.
        dataset: the only one that the table shows; None for all.
    """
    failed = [n for n in run.failed_networks if n.target == target and dataset in (None, n.dataset)]
    if not failed:
        return ()
    reasons = "; ".join(f"{network.name}, {network.reason}" for network in failed)
    return (
        f"{FAILED} All networks of this label version failed; where only some did, the number of seeds that remain is "
        f"given. A failed network counts in no mean and is compared with none: {reasons}.",
    )


def describe_failed(run: Run, dataset: str, what: str = LEFT_OUT, versions: Collection[str] | None = None) -> str:
    """A sentence to end a caption, which names the in-domain networks that failed; empty where none did.

    Args:
        run: the run.
        dataset: whose networks.
        what: the sentence's beginning.
        versions: those that the caption is about; None for all.
    """
    seeds: dict[str, list[str]] = {}
    for network in run.failed_networks if versions is None else run.all_failed_networks:
        if (network.dataset, network.target) == (dataset, None) and (versions is None or network.version in versions):
            seeds.setdefault(network.version, []).append(str(network.seed))
    if not seeds:
        return ""
    unique = {version: list(dict.fromkeys(each)) for version, each in seeds.items()}
    names = [f"{version} (seed{'s' * (len(s) > 1)} {join_names(s)})" for version, s in unique.items()]
    return f" {what}: networks trained on {join_names(names)}."


def add_failed_seeds(run: Run, summary: pl.DataFrame, target: str | None = None) -> pl.DataFrame:
    """Add the column `seeds_failed` to a summary of networks, and a row for each version whose networks all failed."""
    counts = count_failed(run.failed_networks, target)
    schema = {"dataset": pl.String, "version": pl.String, "seeds_failed": pl.Int64}
    failed = pl.DataFrame([(*names, count) for names, count in counts.items()], schema, orient="row")
    if summary.is_empty():
        return failed.with_columns(pl.lit(0, pl.Int64).alias("seeds")).sort("dataset", "version")
    return (
        summary.join(failed, on=["dataset", "version"], how="full", coalesce=True)
        .with_columns(pl.col("seeds", "seeds_failed").fill_null(0))
        .sort("dataset", "version")
    )
