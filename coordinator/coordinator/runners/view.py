"""The files and thread variables that a tool gets, the same in every runner.

/data/<dataset>/dataset.yaml  /data/<dataset>/images  [/data/<dataset>/labels]  /in/<name>  [/weights]
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from contract.errors import UsageError
from coordinator.runners import Invocation


def readable_paths(invocation: Invocation) -> dict[str, Path]:
    """List what a tool may read: path for the tool -> file or folder of this machine, with links resolved.

    A folder that holds symbolic links is listed entry by entry, since a link may point outside of the folder.

    Raises:
        UsageError: a file or folder does not exist.
    """
    dataset = invocation.data / invocation.dataset
    entries = {"dataset.yaml": dataset / "dataset.yaml"} | {
        f"{kind}{tail}": source
        for kind in (["images", "labels"] if invocation.shows_labels else ["images"])
        for tail, source in _list_entries(dataset / kind).items()
    }
    paths = {f"/data/{invocation.dataset}/{name}": source for name, source in entries.items()}
    for name, folder in invocation.inputs.items():
        paths |= {f"/in/{name}{tail}": source for tail, source in _list_entries(folder).items()}
    if invocation.weights is not None:
        paths["/weights"] = invocation.weights
    return {target: _resolve_existing(source) for target, source in paths.items()}


def thread_environment(invocation: Invocation) -> dict[str, str]:
    """The thread variables of an invocation, set before a library reads them: results depend on the thread count."""
    arguments = [part for argument in invocation.arguments for part in argument.split("=", 1)]
    options = [value for flag, value in pairwise(arguments) if flag == "--threads"]
    threads = options[-1] if options else str(invocation.tool.manifest.resources.cpus)
    return thread_variables(threads)


def thread_variables(threads: str) -> dict[str, str]:
    """The variables from which numerical libraries take their thread count."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def _list_entries(folder: Path) -> Mapping[str, Path]:
    """List path below the folder -> source: the folder itself, or each of its entries if any is a link."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: folder must be readable, but: {error.strerror}") from None
    if not any(entry.is_symlink() for entry in entries):
        return {"": folder}
    return {f"/{entry.name}": entry for entry in entries}


def _resolve_existing(path: Path) -> Path:
    if not path.exists():
        kind = f"link to {path.readlink()}, which" if path.is_symlink() else "file or folder"
        raise UsageError(f"{path}: {kind} must exist, but does not; put it there, or correct what names it")
    return path.resolve()
