"""The result of checking a rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of checking a rule.

    Attributes:
        rule: id of the rule.
        what: what must hold.
        problem: why it does not hold; empty where it does.
        skipped: why the rule does not apply to this target; empty where it does.
        seconds: duration of the check.
    """

    rule: str
    what: str
    problem: str = ""
    skipped: str = ""
    seconds: float = 0.0

    @property
    def holds(self) -> bool | None:
        """Whether the rule holds; None where it does not apply."""
        return None if self.skipped else not self.problem
