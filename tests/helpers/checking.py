"""Helpers of the conformance tests: checking a target, and the rules that it breaks."""

from pathlib import Path

from coordinator.conformance.check import CheckRequest, check_target
from coordinator.conformance.ruleresult import RuleResult
from coordinator.conformance.targets import Target


def check_rules(target: Target, weights: Path | None, *only: str) -> list[RuleResult]:
    """Check rules on the default variant; all rules if none is named."""
    ((_, results),) = check_target(target, None, CheckRequest(weights=weights, only=only), lambda line: None)
    return results


def problems_by_rule(results: list[RuleResult]) -> dict[str, str]:
    """Broken rule -> its problem."""
    return {result.rule: result.problem for result in results if result.problem}
