"""Are the errors of the labels the same in every case? A table for each dataset."""

from collections.abc import Mapping

from coordinator.report.texttables import TextTable
from coordinator.results.consistency import organ_errors, version_errors
from coordinator.results.run import Run, RunDataset
from coordinator.scoring.schema import SHELLS, WIDTH_MM
from coordinator.verdict.sentences import NO_NUMBER, count_noun


def consistency_table(run: Run, dataset: RunDataset) -> TextTable | None:
    """Volume errors and the Dice of the vote of each label version; None where nothing was scored."""
    organs = organ_errors(run, dataset)
    if organs.is_empty():
        return None
    versions = version_errors(organs)
    rows = tuple(_row(row) for row in versions.iter_rows(named=True))
    return TextTable(
        name=f"consistency-{dataset.name}",
        caption=f"{dataset.name}: are the errors of the label versions the same in every case?",
        columns=(
            "label version", "Dice of the labels", "Dice of the majority vote", "volume error (%)",
            "its size, organ by organ (%)", "its size, mask by mask (%)",
        ),
        rows=rows,
        notes=_notes(int(versions["cases"].max())),  # type: ignore[arg-type]
        tidy=organs,
    )  # fmt: skip


def _row(row: Mapping[str, float | None]) -> tuple[str, ...]:
    return (
        str(row["version"]), _percent(row["dice"]), _percent(row["vote_dice"]), _percent(row["volume_error"], sign="+"),
        _percent(row["organ_volume_error"]), _percent(row["absolute_volume_error"]),
    )  # fmt: skip


def _percent(share: float | None, sign: str = "") -> str:
    return NO_NUMBER if share is None else f"{100 * share:{sign}.1f}".replace("-", "−")  # noqa: RUF001


def _notes(cases: int) -> tuple[str, ...]:
    return (
        "Errors that differ from case to case can cancel out in training; errors that are the same in every case "
        "cannot. The majority vote is taken over cases at equal distance from the surface of an organ of the reference "
        f"labels (shells of {WIDTH_MM:g} mm, up to {WIDTH_MM * SHELLS:g} mm): it labels a shell where the cases, on "
        "average, label more than half of it. Where the Dice of the vote is much higher than that of the labels, "
        "averaging over cases at equal distance removes most of the error; where it is about the same or lower, it "
        "removes none of it.",
        "Volume error: too much (+) or too little (−) volume against the reference labels, the mean over cases and "  # noqa: RUF001
        "organs. Organ by organ is the mean size of an organ's mean error: what stays after averaging over cases. Mask "
        "by mask is the mean size of the errors before averaging. Where both are about equal, an organ's errors have "
        "mostly one sign.",
        "The vote knows only the distance to the surface, in steps of voxels. It says nothing about errors that depend "
        "on something else, such as an end that is always cut or an organ that is always drawn too far left, and "
        "little about errors smaller than a voxel: these may seem to cancel out, though they are the same in every "
        f"case. Over few cases (here at most {count_noun(cases, 'case')}), chance cancels out only in part. Only masks "
        "of organs that the reference labels have are counted, so Dice may differ from Table 1. No network was asked: "
        "how much it learns from the vote, and how much from a single case, is not known.",
    )
