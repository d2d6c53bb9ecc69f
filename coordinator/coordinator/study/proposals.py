"""What `coordinator init` proposes for datasets that are there, each with its reason as a comment.

generators    a tool with organs of its own where it has a label mapping for every dataset; else why it has none
tolerance     1 mm, or FLARE22's by organ for FLARE22; and one of a slice's thickness where slices are thicker
split         folds where one split would test on few cases
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from contract.datasets import Dataset
from contract.errors import CaseError, UsageError
from contract.volumes import read_header
from coordinator.scoring.conventions import CONVENTIONS
from coordinator.study.generators import Generator
from coordinator.study.labelmappings import find_id_mapping
from coordinator.tools.finding import Tool

HOLDOUT = 0.2
FEWEST_HELD_OUT = 12
"""Where one split would test on fewer cases, folds are proposed. Of 12 cases, a network that wins 10 differs from
chance by a sign test at 5 % (p = 0.039); of fewer, nearly all must agree."""
FOLDS = 5
HEADERS_READ = 25
"""Cases whose spacing is looked at, evenly spread."""
NAMED_ORGANS = 6
"""Organs that a comment names."""
REASON_WIDTH = 84
"""Characters of a comment behind its key, so that lines have at most 120."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Lines of the study file that depend on the datasets; each ends with a line feed.

    Attributes:
        generators: entries of `generators`, and comments.
        tolerance: keys of `score`.
        split: keys of `train`.
        convention: the value of `empty`.
    """

    generators: str = ""
    tolerance: str = (
        "  tolerance_mm: 1.0               # of surface Dice; leave it out to use the convention's own tolerances\n"
    )
    split: str = (
        "  holdout: 0.2                    # share of held-out cases; networks are tested on them, never trained\n"
        "  split_seed: 0\n"
        "  # folds: 5                      # instead: every case is held out once, for five times the networks\n"
    )
    convention: str = "flare21"


def propose(datasets: Sequence[Dataset], tools: Iterable[Tool]) -> Proposals:
    """What fits these datasets.

    Args:
        datasets: those that are there, with labels.
        tools: all tools.

    Returns:
        The proposals; the defaults where no dataset is there.
    """
    if not datasets:
        return Proposals()
    lines = [_propose_generator(tool, datasets) for tool in tools if _has_own_organs(tool)]
    convention = "flare22" if {dataset.name for dataset in datasets} == {"flare22"} else "flare21"
    return Proposals(
        generators="".join(sorted(lines, key=_is_comment)),
        tolerance=_propose_tolerance(datasets, convention),
        split=_propose_split(datasets),
        convention=convention,
    )


def _has_own_organs(tool: Tool) -> bool:
    manifest = tool.manifest
    if manifest.kind != "generator" or manifest.combines_versions:
        return False
    return manifest.variant(manifest.default_variant).labels != "from-dataset"


def _propose_generator(tool: Tool, datasets: Sequence[Dataset]) -> str:
    """An entry for a generator that has organs of its own; a comment where some dataset has no label mapping."""
    missing: dict[str, str] = {}
    for dataset in datasets:
        try:
            generator = Generator(tool.name, tool, tool.manifest.default_variant, {})
            missing |= find_id_mapping(generator, dataset.labels, dataset.folder).unavailable
        except UsageError:
            why = f"no label mapping for {dataset.name} yet; with this line, `coordinator plan` prints one to complete"
            return _line(f"# - {tool.name}", why)
    organs = {organ for dataset in datasets for organ in dataset.labels.values()}
    given = f"gives {len(organs) - len(missing)} of the {len(organs)} organs"
    return _line(f"- {tool.name}", given + (f", but no {_list_few(missing)}" if missing else ""))


def _propose_tolerance(datasets: Sequence[Dataset], convention: str) -> str:
    if own := CONVENTIONS[convention].of_organ_mm:
        low, high = min(own.values()), max(own.values())
        return _line("# tolerance_mm: 1.0", f"left out: the challenge has one for each organ, {low:g} to {high:g} mm")
    lines = _line("tolerance_mm: 1.0", "of surface Dice: that of FLARE21 and AbdomenCT-1K; the paper states none")
    spacings = {dataset.name: spacing for dataset in datasets if (spacing := _median_spacing(dataset))}
    if (thickest := max((max(spacing) for spacing in spacings.values()), default=0.0)) > 1:
        voxels = ", ".join(f"of {name} {_describe_spacing(spacing)}" for name, spacing in spacings.items())
        why = f"voxels are larger than 1 mm (medians: {voxels}): this is the tolerance of one voxel"
        lines += _line(f"also_mm: [{math.ceil(thickest)}]", why)
    return lines


def _propose_split(datasets: Sequence[Dataset]) -> str:
    counts = {dataset.name: len(dataset.cases()) for dataset in datasets}
    name, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
    held_out = max(1, round(HOLDOUT * fewest))
    if held_out >= FEWEST_HELD_OUT or fewest < FOLDS:
        return Proposals().split
    why = (
        f"{name} has {fewest} cases: one split would test on {held_out}, folds test on all, for {FOLDS} times the work"
    )
    return (
        _line(f"folds: {FOLDS}", why)
        + _line("split_seed: 0", "")
        + _line(f"# holdout: {HOLDOUT}", "instead of folds: one split, with this share of the cases held out")
    )


def _median_spacing(dataset: Dataset) -> tuple[float, ...]:
    """Voxel size in mm along the axes of the body, of the cases whose headers can be read; empty where none can."""
    cases = dataset.cases()
    spacings = []
    for case in cases[:: max(1, math.ceil(len(cases) / HEADERS_READ))]:
        try:
            spacings.append(read_header(dataset.image(case)).canonical_grid.spacing_mm)
        except CaseError:
            continue  # `plan` names it
    return tuple(float(mm) for mm in np.median(spacings, axis=0)) if spacings else ()


def _describe_spacing(spacing: tuple[float, ...]) -> str:
    return f"{' x '.join(f'{mm:.3g}' for mm in spacing)} mm"


def _list_few(names: dict[str, str]) -> str:
    few = list(names)[:NAMED_ORGANS]
    return ", ".join(few) + (f" and {len(names) - len(few)} more" if len(names) > len(few) else "")


def _line(key: str, reason: str) -> str:
    """A line of the study file; its reason stands behind it, and goes on below where it is long."""
    if not reason:
        return f"  {key}\n"
    first, *rest = textwrap.wrap(reason, REASON_WIDTH)
    below = "".join(f"{'':<34}# {line}\n" for line in rest)
    return f"  {key:<31} # {first}\n{below}"


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
