"""Helpers of the conformance tests: checking a target, and what was found wrong with it."""

from pathlib import Path

from coordinator.conformance.check import Request, check_target
from coordinator.conformance.findings import Finding
from coordinator.conformance.targets import Target


def found(target: Target, weights: Path | None, *only: str) -> list[Finding]:
    """What a check of the default variant finds."""
    ((_, findings),) = check_target(target, None, Request(weights=weights, only=only), lambda line: None)
    return findings


def wrong(findings: list[Finding]) -> dict[str, str]:
    """Rules that don't hold -> why."""
    return {finding.rule: finding.problem for finding in findings if finding.problem}
