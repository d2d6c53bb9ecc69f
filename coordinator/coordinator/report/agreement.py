"""What label versions agree on: the one measure of labels that needs no reference."""

import polars as pl

from coordinator.report.texttables import TextTable
from coordinator.results.run import Run, RunDataset
from coordinator.verdict.sentences import count_noun


def agreement_table(run: Run, dataset: RunDataset) -> TextTable | None:
    """Dice of each label version with the consensus of the others; None where fewer than three can be compared."""
    frame = run.agreement.filter((pl.col("dataset") == dataset.name) & pl.col("label").is_in(list(dataset.common)))
    if frame.is_empty():
        return None
    versions = [version for version in (run.reference, *dataset.versions) if version in set(frame["version"])]
    shared = frame.filter(pl.col("version").n_unique().over("case") == len(versions))
    if shared.is_empty():
        return None
    counted = shared.with_columns(pl.col("others_dice").fill_nan(None)).drop_nulls("others_dice")
    organs = counted.group_by("version", "label", maintain_order=True)
    by_organ = organs.agg(pl.col("others_dice").mean(), pl.col("case").n_unique())
    means = by_organ.group_by("version", maintain_order=True).agg(pl.col("others_dice").mean(), pl.col("case").max())
    numbers = {version: (f"{100 * dice:.1f}", str(cases)) for version, dice, cases in means.iter_rows()}
    versions = [version for version in versions if version in numbers]
    return TextTable(
        name=f"agreement-{dataset.name}",
        caption=f"{dataset.name}: how far does each label version agree with what the others agree on?",
        columns=("label version", "Dice with the consensus of the others", "cases"),
        rows=tuple((version, *numbers[version]) for version in versions),
        notes=(
            "The consensus of the others is what more than half of them mark, organ by organ; the mean is over cases, "
            "then organs. Only cases that all have labels of are counted. Each of "
            f"{count_noun(len(versions), 'label version')} is compared with the other {len(versions) - 1}. The "
            f"reference labels ({run.reference}) count like any other version, so none is needed. Versions that were "
            "made worse on purpose or of other versions take no part. Agreement is no correctness: where most versions "
            "make the same mistake, the one that does not agrees least.",
        ),
        tidy=frame,
    )
