"""What became of a rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        rule: its id.
        what: must hold.
        problem: why it doesn't; empty where it does.
        skipped: why it says nothing about this target; empty where it does.
        seconds: how long it took to find out.
    """

    rule: str
    what: str
    problem: str = ""
    skipped: str = ""
    seconds: float = 0.0

    @property
    def holds(self) -> bool | None:
        """Whether the rule holds; None where it says nothing."""
        return None if self.skipped else not self.problem
