"""The worklist as a table: the masks that an annotator should look at first."""

from coordinator.report.texttables import TextTable
from coordinator.results.run import Run
from coordinator.study.mixtures import WORKLIST
from coordinator.verdict.worklist import mask_disagreement, undegraded_versions

LONGEST = 20
"""Rows on the page; the csv has all."""


def _describe_use(run: Run) -> str:
    """What disagreement does not show."""
    if run.mix and WORKLIST in run.mix.curves:
        return "Whether correcting such cases first gains more than others, the curves of mixtures say."
    return (
        "Disagreement shows where some version must be wrong. Whether correcting such cases first gains more than "
        "others is not known from it; `mix` with `by: [random, worklist]` in the study file tests that."
    )


def worklist_table(run: Run) -> TextTable | None:
    """Masks by disagreement; None where no label version was scored."""
    disagreement = mask_disagreement(run)
    if disagreement.is_empty():
        return None
    rows = tuple(
        (r["dataset"], r["case"], r["organ"], f"{100 * r['lowest']:.1f} ({r['lowest_version']})",
         f"{100 * r['highest']:.1f} ({r['highest_version']})", f"{100 * r['disagreement']:.1f}")
        for r in disagreement.head(LONGEST).iter_rows(named=True)
    )  # fmt: skip
    return TextTable(
        name="worklist",
        caption="Masks for an annotator to look at first: those on which label versions disagree most.",
        columns=("dataset", "case", "organ", "lowest Dice", "highest Dice", "disagreement (points)"),
        rows=rows,
        notes=(
            "Disagreement is the standard deviation of Dice with the reference labels over these label versions: "
            f"{', '.join([run.reference, *undegraded_versions(run)])}. Shown are {len(rows)} of {disagreement.height} "
            "masks; the csv has all.",
            _describe_use(run),
        ),
        tidy=disagreement,
    )
