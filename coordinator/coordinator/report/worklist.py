"""The worklist as a table: the masks that an annotator should look at first."""

from coordinator.report.sheets import Sheet
from coordinator.results.run import Run
from coordinator.verdict.worklist import judged_versions, mask_disagreement

LONGEST = 20
"""Rows on the page; the csv has all."""


def worklist(run: Run) -> Sheet | None:
    """Masks by disagreement; None where no label version was scored."""
    disagreement = mask_disagreement(run)
    if disagreement.is_empty():
        return None
    rows = tuple(
        (r["dataset"], r["case"], r["organ"], f"{100 * r['lowest']:.1f} ({r['lowest_version']})",
         f"{100 * r['highest']:.1f} ({r['highest_version']})", f"{100 * r['disagreement']:.1f}")
        for r in disagreement.head(LONGEST).iter_rows(named=True)
    )  # fmt: skip
    return Sheet(
        name="worklist",
        caption="Where an hour of an annotator buys most: masks on which label versions disagree most.",
        columns=("dataset", "case", "organ", "lowest Dice", "highest Dice", "disagreement (points)"),
        rows=rows,
        notes=(
            "Disagreement: standard deviation of Dice with the reference over label versions, the reference among them "
            f"({', '.join(judged_versions(run))}); {len(rows)} of {disagreement.height} masks, the others are in the "
            "csv.",
        ),
        tidy=disagreement,
    )
