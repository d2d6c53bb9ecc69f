"""Checks a target against all rules, one after the other."""

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nibabel.filebasedimages import ImageFileError

from contract.errors import CaseError, UsageError
from contract.manifest import Manifest
from contract.yamlfiles import did_you_mean
from coordinator.conformance.data import make_data
from coordinator.conformance.ruleresult import RuleResult
from coordinator.conformance.rules import RULES, Rule
from coordinator.conformance.session import CheckSession, NotApplicable, RuleBroken, protected_files
from coordinator.conformance.targets import Target
from coordinator.runners.images import parse_described

DESCRIBE = ("describe", "`describe` prints a sound manifest as JSON; needs no network, data, weights or GPU")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to check.

    Attributes:
        variant: a variant's name, `all`, or None for the default one.
        weights: folder of weights; None where there is none.
        only: ids of the rules to check; empty for all.
    """

    variant: str | None = None
    weights: Path | None = None
    only: Collection[str] = ()

    def wants(self, rule: str) -> bool:
        """Whether to check a rule."""
        return not self.only or rule in self.only


def refuse_unknown_rules(only: Collection[str], others: Collection[str] = ()) -> None:
    """Refuse ids of rules that do not exist.

    Args:
        only: ids to look up.
        others: ids of further rules.

    Raises:
        UsageError: a rule does not exist; the message suggests the nearest.
    """
    known = [*others, DESCRIBE[0], *(rule.id for rule in RULES)]
    for name in only:
        if name not in known:
            raise UsageError(f"--only: there is no rule {name!r}; {did_you_mean(name, known)}")


def check_target(
    target: Target, expected: Manifest | None, request: CheckRequest, say: Say
) -> Iterator[tuple[str, list[RuleResult]]]:
    """Check a target.

    Args:
        target: an image or a process.
        expected: the manifest of its folder; None for an image, which is known only by its own `describe`.
        request: what to check.
        say: shows a line of progress.

    Yields:
        Variant and results; a single pair with variant "" where `describe` fails, since all other rules need it.

    Raises:
        UsageError: the variant does not exist.
    """
    begin = time.monotonic()
    try:
        manifest = read_manifest(target, expected)
    except (RuleBroken, UsageError) as error:
        skipped = [RuleResult(rule.id, rule.what, skipped="needs a sound `describe`") for rule in RULES]
        yield "", [RuleResult(*DESCRIBE, str(error)), *(result for result in skipped if request.wants(result.rule))]
        return
    first = RuleResult(*DESCRIBE, seconds=time.monotonic() - begin)
    for variant in _choose_variants(manifest, request.variant):
        with _open_session(target, manifest, variant, request.weights) as session:
            rules = [rule for rule in RULES if request.wants(rule.id)]
            yield (
                variant,
                [*([first] if request.wants(first.rule) else []), *(_try_rule(rule, session, say) for rule in rules)],
            )


def read_manifest(target: Target, expected: Manifest | None) -> Manifest:
    """Read the manifest that a target's `describe` prints.

    Raises:
        RuleBroken: the manifest is invalid, or differs from that of the folder.
        UsageError: the target fails.
    """
    try:
        manifest = parse_described(target.describe())
    except ValueError as error:
        raise RuleBroken(f"must print a sound manifest as JSON, but: {error}") from None
    if expected is not None and manifest != expected:
        raise RuleBroken("must print what manifest.yaml says, but prints something else; build it again")
    return manifest


def _choose_variants(manifest: Manifest, requested: str | None) -> list[str]:
    if requested == "all":
        return list(manifest.variants)
    name = requested or manifest.default_variant
    try:
        manifest.variant(name)
    except ValueError as error:
        raise UsageError(f"--variant: {error}") from None
    return [name]


@contextmanager
def _open_session(target: Target, manifest: Manifest, variant: str, weights: Path | None) -> Iterator[CheckSession]:
    """Open a session in a temporary folder, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="label-quality-check-"))
    try:
        (folder / "data").mkdir()
        data = make_data(folder / "data")
        before = protected_files(data, weights, manifest.name)
        yield CheckSession(target, manifest, variant, data, folder / "work", weights, before)
    finally:
        with suppress(FileNotFoundError):
            try:
                shutil.rmtree(folder)
            except PermissionError:
                target.make_removable(folder / "work")
                shutil.rmtree(folder)


def _try_rule(rule: Rule, session: CheckSession, say: Say) -> RuleResult:
    begin = time.monotonic()
    say(f"{session.manifest.name} {session.variant} ({session.target.runtime}): {rule.id}: {rule.what}")
    problem = skipped = ""
    try:
        rule.check(session)
    except NotApplicable as reason:
        skipped = str(reason)
    except (RuleBroken, UsageError) as error:
        problem = str(error)
    except (CaseError, ImageFileError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"what it wrote can't be read: {type(error).__name__}: {error}"
    return RuleResult(rule.id, rule.what, problem, skipped, time.monotonic() - begin)
