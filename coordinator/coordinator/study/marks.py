"""What a reader must know of how a label version was made; it follows from its tool's manifest and its options."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from contract.manifest import Manifest, OptionValue

DEGRADED = "degrade"
"""The tool that makes label versions worse on purpose."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How a label version depends on the reference labels, and on the folds of a study.

    Attributes:
        made_from_reference: its tool was shown the reference labels, so without these it could not be had.
        prompted_from_reference: its tool's prompts were made from them.
        labeller_saw_held_out: the networks that labelled its training cases were trained with labels of held-out cases.
        made_in_folds: it was made anew in each fold of the study, by networks that learned from its training cases.
    """

    made_from_reference: bool = False
    prompted_from_reference: bool = False
    labeller_saw_held_out: bool = False
    made_in_folds: bool = False


def find_marks(
    manifest: Manifest, options: Mapping[str, OptionValue], *, has_held_out: bool, is_shown_reference: bool = True
) -> Marks:
    """The marks of a label version.

    Args:
        manifest: of its tool.
        options: all of the tool's.
        has_held_out: whether the study holds cases out; where it trains nothing, it does not.
        is_shown_reference: whether the dataset's own labels, which tools are shown, are the reference.
    """
    return Marks(
        made_from_reference=is_shown_reference and "labels" in manifest.needs,
        prompted_from_reference=is_shown_reference and manifest.prompts is not None,
        labeller_saw_held_out=has_held_out and manifest.learns_held_out(options),
    )


def join_marks(*marks: Marks) -> Marks:
    """The marks of what is made of several label versions: all that any of them has."""
    return Marks(*(any(values) for values in zip(*map(astuple, marks), strict=True)))
