"""The marks of label versions in tables: a sign behind the name, and a sentence below the table that explains it."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from coordinator.results.run import Run
from coordinator.study.marks import Marks

PROMPTED, MADE, SAW_HELD_OUT, IN_FOLDS = "†", "‡", "§", "¶"
NOTES: Mapping[str, str] = MappingProxyType(
    {
        PROMPTED: "Its prompts were made from the reference labels: who has none can't have these labels.",
        MADE: "Made from the reference labels, though not by prompts: who has none can't have these labels.",
        SAW_HELD_OUT: "The networks that labelled its training cases were trained with labels of held-out cases; "
        "networks trained on it may score too high.",
        IN_FOLDS: "Made anew in each fold, by networks that learned from its training cases alone; scores of these "
        "labels are those of the fold that holds a case out.",
    }
)
_HAS: Mapping[str, Callable[[Marks], bool]] = MappingProxyType(
    {
        PROMPTED: lambda marks: marks.prompted_from_reference,
        MADE: lambda marks: marks.made_from_reference and not marks.prompted_from_reference,
        SAW_HELD_OUT: lambda marks: marks.labeller_saw_held_out,
        IN_FOLDS: lambda marks: marks.made_in_folds,
    }
)


def mark_version(run: Run, version: str) -> str:
    """The version's name with its signs, such as `medsam †`; `base` has none."""
    return " ".join([version, *_signs(run, version)])


def mark_notes(run: Run, versions: Iterable[str]) -> tuple[str, ...]:
    """The sentences that explain the signs of these versions; none for versions without."""
    used = {sign for version in versions for sign in _signs(run, version)}
    return tuple(f"{sign} {note}" for sign, note in NOTES.items() if sign in used)


def _signs(run: Run, version: str) -> list[str]:
    marks = run.marks.get(version, Marks())
    return [sign for sign, has in _HAS.items() if has(marks)]
