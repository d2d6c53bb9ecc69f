"""The import of a whole dataset: which dataset it becomes, what is done already, all cases, then the last rename.

DATA/.NAME.importing/cases.jsonl   a line for each case that is done, so that an import which was killed goes on
DATA/.NAME.importing/              becomes DATA/NAME when all cases are done
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from contract import atomic, yamlfiles
from contract.datasets import DESCRIPTION, DatasetDescription, case_names, name_problem, refuse_dataset_folder
from contract.errors import CaseError, UsageError
from contract.filelocks import lock
from contract.niftifiles import SMALL
from contract.processes import count_processes, map_cases
from contract.volumes import read_header
from coordinator.datasets.importing import record
from coordinator.datasets.importing.archives import is_archive, list_archive, unpack
from coordinator.datasets.importing.cases import Found, SourceCase, needed_files
from coordinator.datasets.importing.descriptions import write_description
from coordinator.datasets.importing.listing import Listing, list_folder
from coordinator.datasets.importing.onecase import import_case
from coordinator.datasets.importing.recognise import recognise
from coordinator.datasets.importing.results import WORK, CaseResult, Place

FEW_CASES = 4
"""Up to this many cases are imported in this process; starting others pays off only for more."""
BYTES_OF_VOXEL = 8
"""Memory that a case takes: its labels as they are read and turned, and a mask or two; images are read in blocks."""
MOST_LISTED = 10
"""Cases that a message names."""

UNPACKED = "source"
"""Folder for what is needed of an archive; its files are linked, and it is removed at the end."""

ShowProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be imported.

    Attributes:
        source: a folder, or an archive.
        data: folder of dataset folders.
        name: of the dataset; None takes the proposed one.
        layout: the only one to try; None tries all.
    """

    source: Path
    data: Path
    name: str | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An import that can begin.

    Attributes:
        request: what was asked for.
        listing: of the source.
        found: its layout and cases.
        name: of the dataset.
    """

    request: Request
    listing: Listing
    found: Found
    name: str

    @property
    def folder(self) -> Path:
        """The dataset folder."""
        return self.request.data / self.name


def prepare_import(request: Request) -> Prepared:
    """Recognise a source; nothing is written.

    Raises:
        UsageError: no such source, no known layout, a name that no dataset can have, a source that is a dataset folder
            already, or a data folder within the source or within a dataset.
    """
    source, data = request.source, request.data
    if (source / DESCRIPTION).is_file():
        raise UsageError(
            f"{source}: is a dataset folder already (it has a {DESCRIPTION}); move it into {data}, or link it there"
        )
    if Path(os.path.realpath(data)).is_relative_to(os.path.realpath(source)) and source.is_dir():
        raise UsageError(
            f"--into: {data} must not lie in {source}, since nothing is written there; give a folder outside of it"
        )
    refuse_dataset_folder(data)
    listing = list_archive(source) if is_archive(source) else list_folder(source)
    found = recognise(listing, request.layout)
    name = found.description.name if request.name is None else request.name
    if problem := name_problem(name):
        raise UsageError(f"--as: {problem}; choose another name")
    labels = dict(found.description.labels or {})
    yamlfiles.parse(f"{source}: its table of organs", {"name": name, "labels": labels}, DatasetDescription)
    return Prepared(request, listing, found, name)


def find_finished(prepared: Prepared) -> record.Summary | None:
    """The record of an earlier import of the same files into the same folder; None where there is no such folder.

    Raises:
        UsageError: the folder holds something else, or the source has changed since.
    """
    folder = prepared.folder
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if os.path.realpath(folder) == os.path.realpath(prepared.request.source):
        raise UsageError(
            f"{folder}: is the source itself, so that the dataset can't have that name; rename the source, such as to "
            f"{prepared.name}-source, or choose another name by --as"
        )
    earlier = record.read_summary(folder)
    if earlier is None:
        raise UsageError(f"{folder}: must not exist yet, but is another dataset or folder; choose another name by --as")
    if earlier.fingerprint != record.take_fingerprint(prepared.found, prepared.listing, prepared.request.source):
        raise UsageError(
            f"{folder}: was imported from other files ({earlier.source}, {len(earlier.names)} cases), or those have "
            "changed since; choose another name by --as, or remove the folder to import it anew"
        )
    images, labels = (set(case_names(folder / kind)) for kind in ("images", "labels"))
    if gone := sorted((set(earlier.names) - images) | (set(earlier.labelled) - labels)):
        raise UsageError(
            f"{folder}: must not change after it was imported, but files of {', '.join(gone[:MOST_LISTED])} are gone; "
            "remove the folder to import it anew"
        )
    return earlier


def run_import(prepared: Prepared, show_progress: ShowProgress = lambda done, total: None) -> record.Summary:
    """Import all cases that are not done yet, and give the dataset folder its name.

    Args:
        prepared: the import; `find_finished` has been asked.
        show_progress: called with (cases done, all cases).

    Raises:
        UsageError: another process imports the same dataset.
        CaseError: no case could be imported.
    """
    found, data = prepared.found, prepared.request.data
    data.mkdir(parents=True, exist_ok=True)
    part = data / f".{prepared.name}.importing"
    part.mkdir(exist_ok=True)
    with _locked(part):
        fingerprint = record.take_fingerprint(found, prepared.listing, prepared.request.source)
        done = record.begin(part, fingerprint)
        place = Place(_open_source(prepared, part, show_progress), part, data)
        show_progress(len(done), len(found.cases))
        for result in _import_cases([case for case in found.cases if case.name not in done], place, found):
            result = _name_source(result, place.source, prepared.request.source)
            record.append(part, result)
            done[result.case] = result
            show_progress(len(done), len(found.cases))
        results = [done[case.name] for case in found.cases]
        _refuse_nothing(prepared, results, part)
        _finish(prepared, results, fingerprint, part)
    summary = record.read_summary(prepared.folder)
    if summary is None:
        raise UsageError(f"{prepared.folder}: was changed while it was imported; remove it, then import it again")
    return summary


def _open_source(prepared: Prepared, part: Path, show_progress: ShowProgress) -> Path:
    """The folder below which the files of cases lie; what is needed of an archive is unpacked."""
    source = prepared.request.source
    if not source.is_file():
        return Path(os.path.realpath(source))
    folder = part / UNPACKED
    folder.mkdir(exist_ok=True)
    names = needed_files(prepared.found.cases, prepared.listing.files)
    unpack(source, set(names), folder, show_progress)
    return folder


def _name_source(result: CaseResult, folder: Path, source: Path) -> CaseResult:
    """The result with paths as the user gave them."""
    return (
        result if result.problem is None else replace(result, problem=result.problem.replace(str(folder), str(source)))
    )


def _import_cases(cases: list[SourceCase], place: Place, found: Found) -> Iterator[CaseResult]:
    processes = 1
    if len(cases) > FEW_CASES:
        processes = count_processes(max(_bytes_of_case(case, place.source) for case in cases), len(cases))
    tasks = [(case.name, case, place, found.description.labels) for case in cases]
    for case, result in zip(cases, map_cases(import_case, tasks, processes, "forkserver"), strict=True):
        yield CaseResult(case.name, problem=str(result)) if isinstance(result, CaseError) else result


def _bytes_of_case(case: SourceCase, source: Path) -> int:
    """Memory that a case takes in a process; a file that can't be read takes none."""
    if case.scan is not None:
        grid = case.scan.series.grid
        return BYTES_OF_VOXEL * (math.prod(grid.shape) if grid else 0) + SMALL
    image = source / case.image
    try:
        return BYTES_OF_VOXEL * read_header(image).voxels + SMALL
    except CaseError:
        return BYTES_OF_VOXEL * (image.stat().st_size if image.is_file() else 0) + SMALL


def _refuse_nothing(prepared: Prepared, results: list[CaseResult], part: Path) -> None:
    problems = [f"  {result.case}: {result.problem}" for result in results if result.problem]
    if len(problems) == len(results):
        shutil.rmtree(part)
        more = [f"  … and {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
        lines = [f"{prepared.request.source}: none of its {len(results)} cases can be used:", *problems[:MOST_LISTED]]
        raise CaseError("\n".join([*lines, *more]))


def _finish(prepared: Prepared, results: list[CaseResult], fingerprint: str, part: Path) -> None:
    """Write description and record, and give the folder its name."""
    found = prepared.found
    sound = {result.case for result in results if not result.problem}
    groups = {case.name: case.group for case in found.cases if case.group is not None and case.name in sound}
    labels = found.description.labels
    if labels is None:
        labels = {i: f"label_{i}" for result in results for i in result.organs}
    text = write_description(found.description, prepared.name, labels, groups)
    origin = record.Origin(found.source_name or prepared.listing.name, fingerprint, prepared.listing.skipped)
    record.write(part, found, origin, results)
    atomic.write_text(part / DESCRIPTION, text)
    for folder in (UNPACKED, WORK):
        shutil.rmtree(part / folder, ignore_errors=True)
    (part / record.CASES).unlink()
    (part / record.BEGUN).unlink()
    for kind in ("images", "labels"):
        for rest in (part / kind).glob(".*.part"):
            rest.unlink()
        atomic.sync(part / kind)
    part.rename(prepared.folder)
    atomic.sync(prepared.folder.parent)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which goes with it when it is renamed.

    Raises:
        UsageError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock(descriptor, folder, wait=False):
            raise UsageError(f"{folder}: is being made by another import; wait until that has ended")
        yield
    finally:
        os.close(descriptor)


def count_left_out(left_out: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A sentence for each reason why files or cases are not imported, with the first names."""
    lines = []
    for reason, names in left_out.items():
        more = ", …" if len(names) > MOST_LISTED else ""
        lines.append(f"left out: {len(names)}: {reason}: {', '.join(names[:MOST_LISTED])}{more}")
    return lines
