"""How this report scores organs that a map lacks, in sentences: whose rule that is, and how many scores it makes."""

from collections.abc import Iterable, Mapping

import polars as pl

from coordinator.results.run import Run
from coordinator.scoring import conventions
from coordinator.verdict.sentences import count_noun, join_names


def describe_empty_masks(run: Run) -> str:
    """Describe the rule for empty masks, that the paper has none, and how many scores it decides."""
    convention = conventions.find(run.score.empty)
    return (
        f"{convention.name} ({convention.origin}). {convention.rule} Jaus et al. (2025) state neither a rule for "
        f"empty masks nor a tolerance of Surface Dice: both are this study's. {_describe_share(run)}"
    ).strip()


def _describe_share(run: Run) -> str:
    """Of how many scores neither map has the organ; nothing where there are no scores."""
    targets = ((t.scores, {d.name: tuple(t.labels) for d in run.datasets}) for t in run.transfers)
    kinds = {
        "label versions": [(run.label_scores, run.common_labels)],
        "networks": [(run.model_scores, run.common_labels), *targets],
    }
    counts = {kind: _count_absent(frames) for kind, frames in kinds.items()}
    shares = [
        f"{absent:,} of {count_noun(total, 'score')} of {kind}" for kind, (absent, total) in counts.items() if total
    ]
    if shares and not any(absent for absent, _ in counts.values()):
        return "No score is of an organ that neither map has."
    return f"In {join_names(shares)}, neither map has the organ." if shares else ""


def _count_absent(frames: Iterable[tuple[pl.DataFrame, Mapping[str, tuple[int, ...]]]]) -> tuple[int, int]:
    """Count scores of organs that neither map has, and all scores; of the organs that means are over."""
    absent = total = 0
    for scores, labels in frames:
        for dataset, common in labels.items():
            counted = scores.filter((pl.col("dataset") == dataset) & pl.col("label").is_in(list(common)))
            total += counted.height
            absent += counted.filter((pl.col("reference_voxels") == 0) & (pl.col("prediction_voxels") == 0)).height
    return absent, total
