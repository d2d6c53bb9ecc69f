"""What a tool gets to see: the same for every runner.

/data/<dataset>/dataset.yaml  /data/<dataset>/images  [/data/<dataset>/labels]  /in/<name>  [/weights]
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from contract.errors import UsageError
from coordinator.runners import Invocation


def readable(invocation: Invocation) -> dict[str, Path]:
    """What a tool may read: path as the tool sees it -> file or folder here, links resolved.

    A folder with symbolic links in it is shown entry by entry, since a link's target may lie outside of what is shown.

    Raises:
        UsageError: something of it does not exist.
    """
    dataset = invocation.data / invocation.dataset
    shown = {"dataset.yaml": dataset / "dataset.yaml"} | {
        f"{kind}{tail}": source
        for kind in (["images", "labels"] if invocation.shows_labels else ["images"])
        for tail, source in _entries(dataset / kind).items()
    }
    paths = {f"/data/{invocation.dataset}/{name}": source for name, source in shown.items()}
    for name, folder in invocation.inputs.items():
        paths |= {f"/in/{name}{tail}": source for tail, source in _entries(folder).items()}
    if invocation.weights is not None:
        paths["/weights"] = invocation.weights
    return {target: _existing(source) for target, source in paths.items()}


def thread_environment(invocation: Invocation) -> dict[str, str]:
    """Thread counts, set before a library reads them: they are part of a result's identity."""
    arguments = [part for argument in invocation.arguments for part in argument.split("=", 1)]
    given = [value for flag, value in pairwise(arguments) if flag == "--threads"]
    threads = given[-1] if given else str(invocation.tool.manifest.resources.cpus)
    return threads_set_to(threads)


def threads_set_to(threads: str) -> dict[str, str]:
    """The variables that numerical libraries take their thread count from."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def _entries(folder: Path) -> Mapping[str, Path]:
    """Tail of the path as seen -> source: the folder itself, or each of its entries where any is a link."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: folder must be readable, but: {error.strerror}") from None
    if not any(entry.is_symlink() for entry in entries):
        return {"": folder}
    return {f"/{entry.name}": entry for entry in entries}


def _existing(path: Path) -> Path:
    if not path.exists():
        what = f"link to {path.readlink()}, which" if path.is_symlink() else "file or folder"
        raise UsageError(f"{path}: {what} must exist, but does not; put it there, or correct what names it")
    return path.resolve()
