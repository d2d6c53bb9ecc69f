"""The consensus of other label versions of a study; see `consensus_tool/voting.py` for the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from consensus_tool.voting import staple, vote

from contract import Case, CaseError, Cases, Context, LabelMap, UsageError, log_line, run
from contract.datasets import SUFFIX
from contract.records import read_run
from contract.volumes import read_labels

METHODS: Mapping[str, Callable[..., LabelMap]] = {"vote": vote, "staple": staple}
"""By variant of the manifest."""
FEWEST = 2
"""Label maps of a case: one alone is no consensus."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is combined, and how.

    Attributes:
        versions: label version -> its folder.
        known: label version -> the ids that it can have.
        combine: the rule.
    """

    versions: Mapping[str, Path]
    known: Mapping[str, frozenset[int]]
    combine: Callable[..., LabelMap]


def load(context: Context) -> Model:
    """Find the label versions, and which organs each can have."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(context.threads)
    folder = context.input_folder("label-versions")
    versions = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}
    if len(versions) < FEWEST:
        raise UsageError(
            f"{folder}: must hold a folder for each of at least {FEWEST} label versions, but has {len(versions)}"
        )
    organs = frozenset(context.dataset.labels)
    known = {}
    for name, path in versions.items():
        to_target = read_run(path).get("to_target")
        known[name] = organs if to_target is None else organs.intersection(to_target.values())
    context.facts["label_versions"] = list(versions)
    return Model(versions, known, METHODS[context.arguments.variant])


def segment(model: Model, case: Case) -> LabelMap:
    """Combine the label maps of a case; versions that have none of it don't vote."""
    maps = {
        name: read_labels(file, case.image, case.organs)
        for name, folder in model.versions.items()
        if (file := folder / f"{case.name}{SUFFIX}").exists()
    }
    if len(maps) < FEWEST:
        raise CaseError(
            f"{case.name}: a consensus needs labels of at least {FEWEST} versions, but there are only those of "
            f"{', '.join(maps) or 'none'}"
        )
    if absent := sorted(set(model.versions) - set(maps)):
        log_line(f"{case.name}: without {', '.join(absent)}, which have no labels of it")
    return model.combine(list(maps.values()), [model.known[name] for name in maps], list(case.organs))


if __name__ == "__main__":
    raise SystemExit(run(__file__, {"combine": Cases(load, segment)}))
