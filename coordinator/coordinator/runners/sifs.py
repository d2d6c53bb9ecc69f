"""SIF files, the images of Apptainer: one for each tool, and beside it what is known of it.

    <root>/.sifs/<tool>.sif     made from an image of the tool: of an engine, an archive of `docker save`, or a registry
    <root>/.sifs/<tool>.json    its sha256 and labels, and the size and time that it had when it was read for them

A SIF file that was copied here from another machine is as good as one that was made here: it is read once, and its
labels say from which sources its image was built.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from contract import atomic, statefiles
from contract.errors import UsageError
from contract.records import file_sha256
from coordinator.runners.docker import SOURCES, DockerRunner, image_name
from coordinator.runners.toolsources import image_digest
from coordinator.tools.finding import Tool

REGISTRY = "docker://"
"""How the address of an image in a registry begins, for Apptainer."""
COMPRESSION = "-Xcompression-level 1"
"""Of gzip, which every squashfs can read; half the time of its default for files that are 5 % larger."""


class Sif(NamedTuple):
    """What is known of a SIF file.

    Attributes:
        sha256: of the file, which is the identity of the image.
        size: of the file in bytes, when it was read.
        modified_ns: its time of change, when it was read.
        sources: digest of what the image was built from, by its label; empty where it has none.
    """

    sha256: str
    size: int
    modified_ns: int
    sources: str


@dataclass(frozen=True, slots=True)
class Apptainer:
    """The program."""

    path: str

    def inspect_labels(self, file: Path) -> dict[str, str]:
        """The labels of a SIF file.

        Raises:
            UsageError: it is none.
        """
        command = [self.path, "inspect", "--labels", "--json", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        try:
            labels = json.loads(result.stdout)["data"]["attributes"]["labels"] or {}
        except (ValueError, KeyError, TypeError):
            reason = result.stderr.strip().splitlines()[-1:] or ["it has no labels"]
            raise UsageError(
                f"{file}: must be a SIF file that Apptainer can read, but: {reason[0]}; remove it and "
                f"`coordinator tool build --runtime apptainer {file.stem}`"
            ) from None
        return {str(name): str(value) for name, value in labels.items()}

    def build(self, file: Path, source: str) -> None:
        """Make a SIF file of an image, which gets its name when it is whole.

        Raises:
            UsageError: it does not build; the reason was printed.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        # Layers are kept in no cache: those of a tool are gigabytes, and are needed once.
        command = [
            self.path,
            "build",
            "--force",
            "--disable-cache",
            "--mksquashfs-args",
            COMPRESSION,
            str(part),
            source,
        ]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
            atomic.sync(part)
            part.replace(file)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"{file}: must be made of {source}, but: {error}; the reason is printed above") from None
        finally:
            part.unlink(missing_ok=True)
        atomic.sync(file.parent)


def find_apptainer() -> Apptainer:
    """Find the program: $COORDINATOR_APPTAINER, or `apptainer` on the path.

    Raises:
        UsageError: it is not there.
    """
    name = os.environ.get("COORDINATOR_APPTAINER") or "apptainer"
    path = shutil.which(name)
    if path is None:
        raise UsageError(
            f"{name}: Apptainer must be on the path, but is not; load its module (`module load apptainer`), set "
            "COORDINATOR_APPTAINER to the program, or use another runtime"
        )
    return Apptainer(path)


def sif_file(tool: Tool) -> Path:
    """Where a tool's SIF file lies: below $COORDINATOR_SIFS, or `.sifs` beside the folder of tools."""
    from_user = os.environ.get("COORDINATOR_SIFS")
    folder = Path(from_user).resolve() if from_user else tool.folder.resolve().parents[1] / ".sifs"
    return folder / f"{tool.name}.sif"


def read_sif(file: Path) -> Sif:
    """What is known of a SIF file; one that is new here is read once.

    Raises:
        UsageError: it is no SIF file.
    """
    status = file.stat()
    record = file.with_suffix(".json")
    known = statefiles.read(record, _parse_sif, say=lambda _: None)
    if known and (known.size, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    sources = find_apptainer().inspect_labels(file).get(SOURCES, "")
    sif = Sif(file_sha256(file), status.st_size, status.st_mtime_ns, sources)
    if os.access(file.parent, os.W_OK):  # else it is read each time
        atomic.write_json(record, sif._asdict())
    return sif


def _parse_sif(content: bytes) -> Sif:
    known = statefiles.parse_mapping(content)
    return Sif(str(known["sha256"]), int(known["size"]), int(known["modified_ns"]), str(known["sources"]))


def require_sif(tool: Tool) -> Sif:
    """The SIF file of a tool, made from its sources as they are now.

    Raises:
        UsageError: there is none, or it is of other sources.
    """
    file = sif_file(tool)
    how = f"run `coordinator tool build --runtime apptainer {tool.name}`"
    if not file.is_file():
        raise UsageError(f"{file}: not built: {how}, or copy it here from where it was built")
    sif = read_sif(file)
    if sif.sources != image_digest(tool):
        origin = "is of other sources" if sif.sources else f"has no label {SOURCES}, which says of what"
        raise UsageError(f"{file}: must be an image of {tool.folder} as it is now, but {origin}; {how}")
    return sif


def make_sif(tool: Tool, images: str | None) -> None:
    """Make the SIF file of a tool, unless there is one of its sources as they are now.

    Args:
        tool: whose image it is.
        images: where the image is: None for this machine's Docker engine; a folder of archives `<tool>.tar` that
            `docker save` wrote; an image in a registry (`docker://…@sha256:…`); or the beginning of such addresses
            (`docker://…/`), which is followed by the tool's name and version.

    Raises:
        UsageError: the image is not there, does not become a SIF file, or is of other sources.
    """
    try:
        require_sif(tool)
    except UsageError:
        find_apptainer().build(sif_file(tool), _find_source(tool, images))
        require_sif(tool)


def _find_source(tool: Tool, images: str | None) -> str:
    """The image of a tool as Apptainer names it."""
    if images is None:
        # The image by its id: it is the one whose sources were compared.
        return f"docker-daemon:{DockerRunner().code_id(tool)}"
    if images.startswith(REGISTRY):
        name = image_name(tool).rpartition("/")[2]
        return images + name if images.endswith("/") else images
    archive = Path(images) / f"{tool.name}.tar"
    if not archive.is_file():
        raise UsageError(
            f"{archive}: archive of the image must be there, but is not; write it where Docker runs, with "
            f"`docker save --output {archive.name} {image_name(tool)}`"
        )
    return f"docker-archive:{archive}"
