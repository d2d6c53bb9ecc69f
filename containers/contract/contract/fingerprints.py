"""Fingerprints: digests of all that a result depends on.

A result whose fingerprint is still the same is kept; anything else is done again.
"""

from collections.abc import Mapping
from pathlib import Path

from contract import records
from contract.casefiles import describe_kind
from contract.context import Context
from contract.manifest import LABEL_VERSIONS


def common_parts(context: Context) -> dict[str, object]:
    """What every result of a run depends on beside its own input."""
    arguments, manifest = context.arguments, context.manifest
    return {
        "tool": manifest.name,
        "version": manifest.version,
        "variant": arguments.variant,
        "step": arguments.step,
        "options": {name: arguments.options[name] for name in manifest.option_names(arguments.step)},
        "threads": arguments.threads,
        "weights": [weights.sha256 for weights in context.checked_weights.values()],
        "inputs": {name: _input_digest(folder) for name, folder in _input_folders(context).items()},
    }


def _input_digest(folder: Path) -> object:
    """Digest of what an input holds; with the ids that a label version can have, which its label maps need not show."""
    outputs, to_target = records.outputs_digest(folder), records.read_run(folder).get("to_target")
    return outputs if to_target is None else [outputs, to_target]


def case_fingerprint(context: Context, parts: Mapping[str, object], case: str, image_sha256: str) -> str:
    """Digest of all that a case's result depends on: the common parts, image, labels and label table."""
    parts = {**parts, "image": image_sha256}
    if "labels" in context.reads:
        parts["labels"] = input_digest(context.dataset.label(case))
    if _depends_on_organs(context):
        parts["organs"] = _label_table(context)
    return records.digest(parts)


def job_fingerprint(context: Context) -> str:
    """Digest of all that a job's results depend on: the common parts, and what it reads of each case."""
    dataset, reads = context.dataset, context.reads
    cases = {
        "names": list(context.cases),
        "images": [input_digest(dataset.image(case)) for case in context.cases] if "images" in reads else [],
        "labels": [input_digest(dataset.label(case)) for case in context.cases] if "labels" in reads else [],
        "organs": _label_table(context) if _depends_on_organs(context) else {},
    }
    return records.digest({**common_parts(context), "cases": cases})


def _depends_on_organs(context: Context) -> bool:
    """Whether results depend on the dataset's names of organs: a tool may look for organs by their names alone."""
    table = context.manifest.variant(context.arguments.variant).labels
    return "labels" in context.reads or table == "from-dataset"


def input_digest(path: Path) -> str:
    """sha256 of a file, hex; a file that can't be read has its reason instead."""
    problem = describe_kind(path)
    if problem:
        return f"unreadable: {problem}"
    try:
        return records.file_sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _input_folders(context: Context) -> dict[str, Path]:
    """Name below /in -> folder, without the optional inputs that are not there; each of several label versions."""
    if context.arguments.step is None:
        return {}
    step = context.manifest.steps[context.arguments.step]
    folders = {name: context.input_folder(name) for name, source in step.inputs.items() if source != LABEL_VERSIONS}
    for name in (name for name, source in step.inputs.items() if source == LABEL_VERSIONS):
        folders |= {f"{name}/{version.name}": version for version in sorted(context.input_folder(name).iterdir())}
    optional = {name: context.optional_input_folder(name) for name in step.optional_inputs}
    return folders | {name: folder for name, folder in optional.items() if folder is not None}


def _label_table(context: Context) -> dict[str, str]:
    return {str(i): organ for i, organ in context.dataset.labels.items()}
