"""The files and thread variables that a tool gets, the same in every runner.

/data/<dataset>/dataset.yaml  /data/<dataset>/images  [/data/<dataset>/labels]  /in/<name>  [/weights]

A foreign image sees /weights/<its name> alone.
"""

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

from contract.datasets import SUFFIX
from contract.errors import UsageError
from coordinator.runners import Invocation


def readable_paths(invocation: Invocation, *, planned: bool = False) -> dict[str, Path]:
    """List what a tool may read: path for the tool -> file or folder of this machine, with links resolved.

    A folder that holds symbolic links is listed entry by entry, since a link may point outside of the folder. So is one
    with cases that the tool may not see: those that were set aside, and what is neither file nor folder.

    Args:
        invocation: the run.
        planned: whether what other steps make may not be there yet.

    Raises:
        UsageError: a file or folder does not exist.
    """
    dataset = invocation.data / invocation.dataset
    entries = {"dataset.yaml": dataset / "dataset.yaml"} | {
        f"{kind}{tail}": source
        for kind in (["images", "labels"] if invocation.shows_labels else ["images"])
        for tail, source in _list_entries(dataset / kind, invocation.cases).items()
    }
    paths = {f"/data/{invocation.dataset}/{name}": source for name, source in entries.items()}
    for name, folder in invocation.inputs.items():
        there = _list_entries(folder) if folder.exists() or not planned else {"": folder}
        paths |= {f"/in/{name}{tail}": source for tail, source in there.items()}
    if invocation.weights is not None:
        own = invocation.weights / invocation.tool.name
        if not invocation.is_foreign:
            paths["/weights"] = invocation.weights
        elif own.exists():
            paths[f"/weights/{own.name}"] = own
    return {target: source.resolve() if planned else _resolve_existing(source) for target, source in paths.items()}


def thread_environment(invocation: Invocation) -> dict[str, str]:
    """The thread variables of an invocation, set before a library reads them: results depend on the thread count."""
    arguments = [part for argument in invocation.arguments for part in argument.split("=", 1)]
    options = [value for flag, value in pairwise(arguments) if flag == "--threads"]
    threads = options[-1] if options else str(invocation.tool.manifest.resources.cpus)
    return thread_variables(threads)


def thread_variables(threads: str) -> dict[str, str]:
    """The variables from which numerical libraries take their thread count."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def _list_entries(folder: Path, cases: Collection[str] | None = None) -> Mapping[str, Path]:
    """List path below the folder -> source: the folder itself, or each entry if any is a link or must not be seen."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: folder must be readable, but: {error.strerror}") from None
    shown = [entry for entry in entries if _may_be_seen(entry, cases)]
    if shown == entries and not any(entry.is_symlink() for entry in entries):
        return {"": folder}
    return {f"/{entry.name}": entry for entry in shown}


def _may_be_seen(entry: Path, cases: Collection[str] | None) -> bool:
    """Whether a tool may see an entry; without opening it, since opening a pipe would wait for ever."""
    if cases is None:
        return True
    if entry.name.endswith(SUFFIX):
        return entry.name.removesuffix(SUFFIX) in cases
    return entry.is_file() or entry.is_dir()


def _resolve_existing(path: Path) -> Path:
    if not path.exists():
        kind = f"link to {path.readlink()}, which" if path.is_symlink() else "file or folder"
        raise UsageError(f"{path}: {kind} must exist, but does not; put it there, or correct what names it")
    return path.resolve()
