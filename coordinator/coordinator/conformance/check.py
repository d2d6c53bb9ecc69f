"""All rules, one after the other, on a target."""

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nibabel.filebasedimages import ImageFileError
from pydantic import ValidationError

from contract.errors import CaseError, UsageError
from contract.manifest import Manifest
from contract.yamlfiles import did_you_mean
from coordinator.conformance.bench import Bench, Broken, NotApplicable, surroundings
from coordinator.conformance.data import make_data
from coordinator.conformance.findings import Finding
from coordinator.conformance.rules import RULES, Rule
from coordinator.conformance.targets import Target

DESCRIBE = ("describe", "`describe` prints a sound manifest as JSON; needs no network, data, weights or GPU")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What a check was asked for.

    Attributes:
        variant: one, `all` of them, or None for the default one.
        weights: folder of weights; None where there is none.
        only: ids of the rules to try; empty for all.
    """

    variant: str | None = None
    weights: Path | None = None
    only: Collection[str] = ()

    def wants(self, rule: str) -> bool:
        """Whether a rule is to be tried."""
        return not self.only or rule in self.only


def check_rules_exist(only: Collection[str], others: Collection[str] = ()) -> None:
    """Refuse ids of rules that there are not.

    Raises:
        UsageError: names the nearest.
    """
    known = [*others, DESCRIBE[0], *(rule.id for rule in RULES)]
    for name in only:
        if name not in known:
            raise UsageError(f"--only: there is no rule {name!r}; {did_you_mean(name, known)}")


def check_target(
    target: Target, expected: Manifest | None, request: Request, say: Say
) -> Iterator[tuple[str, list[Finding]]]:
    """Try a target.

    Args:
        target: an image or a process.
        expected: the manifest of its folder; None where nothing is known but what it says itself.
        request: what is asked for.
        say: takes a line of progress.

    Yields:
        Variant and findings; a single pair with variant "" where `describe` fails, since all else needs it.

    Raises:
        UsageError: there is no such variant.
    """
    begin = time.monotonic()
    try:
        manifest = described(target, expected)
    except (Broken, UsageError) as error:
        needs = [Finding(rule.id, rule.what, skipped="needs a sound `describe`") for rule in RULES]
        yield "", [Finding(*DESCRIBE, str(error)), *(finding for finding in needs if request.wants(finding.rule))]
        return
    first = Finding(*DESCRIBE, seconds=time.monotonic() - begin)
    for variant in _variants(manifest, request.variant):
        with _bench(target, manifest, variant, request.weights) as bench:
            rules = [rule for rule in RULES if request.wants(rule.id)]
            yield (
                variant,
                [*([first] if request.wants(first.rule) else []), *(_try(rule, bench, say) for rule in rules)],
            )


def described(target: Target, expected: Manifest | None) -> Manifest:
    """The manifest that a target prints.

    Raises:
        Broken: it is unsound, or not the one of the folder.
        UsageError: the target fails.
    """
    try:
        manifest = Manifest.model_validate_json(target.describe())
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'output'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise Broken(f"must print a sound manifest as JSON, but: {'; '.join(wrong[:3])}") from None
    if expected is not None and manifest != expected:
        raise Broken("must print what manifest.yaml says, but prints something else; build it again")
    return manifest


def _variants(manifest: Manifest, asked: str | None) -> list[str]:
    if asked == "all":
        return list(manifest.variants)
    name = asked or manifest.default_variant
    try:
        manifest.variant(name)
    except ValueError as error:
        raise UsageError(f"--variant: {error}") from None
    return [name]


@contextmanager
def _bench(target: Target, manifest: Manifest, variant: str, weights: Path | None) -> Iterator[Bench]:
    """A bench in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="label-quality-check-"))
    try:
        (folder / "data").mkdir()
        data = make_data(folder / "data")
        before = surroundings(data, weights, manifest.name)
        yield Bench(target, manifest, variant, data, folder / "work", weights, before)
    finally:
        with suppress(FileNotFoundError):
            try:
                shutil.rmtree(folder)
            except PermissionError:
                target.hand_over(folder / "work")
                shutil.rmtree(folder)


def _try(rule: Rule, bench: Bench, say: Say) -> Finding:
    begin = time.monotonic()
    say(f"{bench.manifest.name} {bench.variant} ({bench.target.runtime}): {rule.id}: {rule.what}")
    problem = skipped = ""
    try:
        rule.check(bench)
    except NotApplicable as reason:
        skipped = str(reason)
    except (Broken, UsageError) as error:
        problem = str(error)
    except (CaseError, ImageFileError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"what it wrote can't be read: {type(error).__name__}: {error}"
    return Finding(rule.id, rule.what, problem, skipped, time.monotonic() - begin)
