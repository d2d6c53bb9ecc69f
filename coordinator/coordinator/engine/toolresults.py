"""What a tool goes on from, and what of its results is refused before they get their name.

.NAME.part/image    id of the foreign image that works here; beside `out`, where no tool can write
.NAME.part/out      all that the tool wrote
"""

import shutil
from pathlib import Path, PurePosixPath

from contract import atomic
from contract.records import file_sha256, read_run
from coordinator.engine import outputs
from coordinator.engine.outputs import StepFailedError
from coordinator.runners.outfolder import find_irregular

IMAGE = "image"


def begin_results(part: Path, result: Path, output: Path, image: str | None) -> None:
    """Let a tool start from what it left: from a run that was cut short, or from an output that is out of date.

    It redoes only the cases whose input changed. A foreign image may take what another image left for its own, so it
    gets only what it wrote itself.

    Args:
        part: the folder in which the step works.
        result: folder below it that the tool writes to.
        output: what an earlier run of the step published.
        image: id of a foreign image; None for a tool of ours.
    """
    if part.is_dir() and (_read_image(part) != image or find_irregular(part)):
        shutil.rmtree(part)
    result.parent.mkdir(parents=True, exist_ok=True)
    if image is not None:
        atomic.write_text(part / IMAGE, image)
    if output.is_symlink() or not output.exists() or result.exists():
        return
    if image is None or _recorded_image(output) == image:
        output.rename(result)
    else:
        outputs.remove_output(output)


def refuse_irregular(part: Path, tool: str) -> None:
    """Refuse results that hold more than files and folders, before any of them is read.

    Raises:
        StepFailedError: there is a link, a pipe or a socket; all results are removed.
    """
    if odd := find_irregular(part / "out"):
        name = odd.relative_to(part / "out")
        shutil.rmtree(part)
        raise StepFailedError(f"{tool} wrote {name}: must be a file or a folder, but is a link or something else")


def refuse_unsound(result: Path, tool: str, image: str | None) -> None:
    """Refuse results that `run.json` does not record as they are.

    Raises:
        StepFailedError: `run.json` names another image than the one that ran, a file that is not there, or another
            sha256 than the file has; the results are removed.
    """
    if problem := _describe_unsound(result, image):
        outputs.remove_output(result)
        raise StepFailedError(f"{tool} wrote run.json: {problem}")


def _describe_unsound(result: Path, image: str | None) -> str:
    """What `run.json` says that does not hold; empty where all of it holds."""
    recorded = _recorded_image(result)
    if image is not None and recorded not in {None, image}:
        return f"image_id must be {image}, the image that ran, but it is {recorded}"
    for file, sha256 in outputs.read_outputs(result).items():
        if not _is_below(file) or not (result / file).is_file():
            return f"outputs must name files beside it, but there is no file {file}"
        if sha256 != (actual := file_sha256(result / file)):
            return f"outputs must have the sha256 of {file}, {actual}, but have {sha256}"
    return ""


def _is_below(file: str) -> bool:
    path = PurePosixPath(file)
    return str(path) == file and not path.is_absolute() and ".." not in path.parts


def _recorded_image(folder: Path) -> object:
    return read_run(folder).get("image_id")


def _read_image(part: Path) -> str | None:
    file = part / IMAGE
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
