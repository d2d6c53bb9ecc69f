"""Repairs of what is certain, into a new dataset folder: `coordinator dataset check FOLDER --fix NEW_FOLDER`.

    files that need none    linked, as an import does
    repaired labels         written anew on the image's grid, in its orientation, then read again; other header fields,
                            which may name patients, and extensions are not kept
    repaired qforms         the header anew, all else as it was
    repairs.json            what was done to which file, with its sha256 before and after

The audited folder is only read.
"""

import gzip
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from contract import atomic, records
from contract.datasets import (
    DESCRIPTION,
    SUFFIX,
    Dataset,
    case_names,
    name_problem,
    open_dataset,
    refuse_dataset_folder,
)
from contract.errors import CaseError, UsageError
from contract.gzipfiles import COMPRESSION_LEVEL
from contract.labelmaps import LabelMap
from contract.niftiheaders import header_size
from contract.volumes import read_image, read_labels, write_labels
from contract.yamlfiles import as_scalar
from coordinator.datasets.audit.findings import Finding, Repair
from coordinator.datasets.importing.files import put

RECORD = "repairs.json"
KINDS = ("images", "labels")
ANEW = "stored as the image is; description and extensions of the header were not kept"
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file that was written anew.

    Attributes:
        case: its name.
        file: below the dataset folder.
        repairs: what was done, in words.
        sha256_before, sha256_after: of the file's bytes, hex.
    """

    case: str
    file: str
    repairs: tuple[str, ...]
    sha256_before: str
    sha256_after: str


def check_target(dataset: Dataset, target: Path) -> None:
    """Refuse a folder that can't become a dataset folder.

    Raises:
        UsageError: it exists, has a name that no dataset can have, or lies in a dataset folder.
    """
    if problem := name_problem(target.name):
        raise UsageError(f"--fix: {target}: {problem}; choose another folder")
    refuse_dataset_folder(target.parent)
    refuse_dataset_folder(target.parent.resolve())
    if target.exists() or target.is_symlink():
        raise UsageError(f"--fix: {target}: must not exist yet, since {dataset.name} is repaired into a new folder")


def repair_dataset(
    dataset: Dataset, findings: Sequence[Finding], target: Path, audited: Mapping[str, str] | None = None
) -> list[Repaired]:
    """Make a new dataset folder in which all findings that have a repair are mended.

    Args:
        dataset: what was audited; only read.
        findings: of its audit.
        target: the folder to make; `check_target` has been asked.
        audited: file below the dataset folder -> its sha256 as it was audited; a file that is another by now is not
            repaired.

    Returns:
        The files that were written anew, sorted; empty where nothing is certain, and then no folder is made.

    Raises:
        CaseError: a file can't be read any more, has changed since, or is not as it should be after its repair.
    """
    todo: dict[tuple[str, str], list[Repair]] = {}
    for repair in (repair for finding in findings for repair in finding.repairs):
        todo.setdefault((repair.case, repair.folder), []).append(repair)
    if not todo:
        return []
    part = target.with_name(f".{target.name}.repairing")
    shutil.rmtree(part, ignore_errors=True)
    try:
        repaired = _fill_folder(dataset, part, todo, target.name)
        _refuse_changed(dataset, repaired, audited)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    atomic.sync(target.parent)
    open_dataset(target.parent, target.name)
    return repaired


def _refuse_changed(dataset: Dataset, repaired: Sequence[Repaired], audited: Mapping[str, str] | None) -> None:
    """Refuse files that are no longer as they were audited."""
    for file in repaired:
        if audited is not None and audited.get(file.file) != file.sha256_before:
            raise CaseError(
                f"{dataset.folder / file.file}: file must be as it was audited, but has changed since; check the "
                "dataset again"
            )


def _fill_folder(
    dataset: Dataset, part: Path, todo: Mapping[tuple[str, str], Sequence[Repair]], name: str
) -> list[Repaired]:
    """Put everything into the new folder: what is linked, what is repaired, the description, and the record."""
    _link_files(dataset, part, {(folder, case) for case, folder in todo})
    # Images first: labels are written on the grid of the repaired image.
    repaired = [
        _repair_file(dataset, part, case, repairs)
        for (case, _), repairs in sorted(todo.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
    atomic.write_text(part / DESCRIPTION, rename_dataset(dataset.folder / DESCRIPTION, name))
    _write_record(part, dataset, repaired)
    return repaired


def rename_dataset(file: Path, name: str) -> str:
    """The text of a dataset.yaml with another name and nothing else changed, comments included."""
    text = file.read_text(encoding="utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "name":
            return text[: value.start_mark.index] + as_scalar(name) + text[value.end_mark.index :]
    raise UsageError(f"{file}: must have a name, but has none; was it changed while it was audited?")


def _link_files(dataset: Dataset, part: Path, repaired: set[tuple[str, str]]) -> None:
    """Put everything into the new folder that needs no repair."""
    for kind in KINDS:
        (part / kind).mkdir(parents=True)
        folder = dataset.folder / kind
        for case in case_names(folder) if folder.is_dir() else ():
            source, target = (place / f"{case}{SUFFIX}" for place in (folder, part / kind))
            if source.is_file():
                if (kind, case) not in repaired:
                    put(source, target, part.parent)
            else:  # a broken link, a folder or a pipe: its case is set aside there too
                target.symlink_to(os.path.realpath(source))
    if (remaps := dataset.folder / "remaps").is_dir():
        shutil.copytree(remaps, part / "remaps")


def _repair_file(dataset: Dataset, part: Path, case: str, repairs: Sequence[Repair]) -> Repaired:
    folder = repairs[0].folder
    source, target = (root / folder / f"{case}{SUFFIX}" for root in (dataset.folder, part))
    words = dict.fromkeys(_describe(dataset, repair) for repair in repairs)
    if {repair.how for repair in repairs} == {"qform"}:
        write_qform(source, target)
    else:
        image = read_image(part / "images" / f"{case}{SUFFIX}")
        labels = read_labels(source, image, dataset.labels)
        for repair in repairs:
            if repair.how == "swap sides":
                labels = _swap(labels, repair.swap)
        write_labels(target, labels, image)
        if not np.array_equal(read_labels(target, image, dataset.labels), labels):
            raise CaseError(f"{target}: labels must be read as they were written, but differ; is the disk sound?")
        words[ANEW] = None
    return Repaired(
        case, f"{folder}/{case}{SUFFIX}", tuple(words), records.file_sha256(source), records.file_sha256(target)
    )


def write_qform(source: Path, target: Path) -> None:
    """Write a file whose qform says the same as its sform; all else, voxels included, stays as it was.

    Args:
        source: a .nii.gz file with a sound sform.
        target: the .nii.gz file to make or replace, in one step.
    """
    with gzip.open(source) as stream, atomic.part_file(target) as part, part.open("wb") as file:
        start = stream.read(4)
        content = start + stream.read(header_size(start) - len(start))
        is_first = header_size(start) == nib.Nifti1Header.sizeof_hdr
        header = (nib.Nifti1Header if is_first else nib.Nifti2Header)(content, check=False)
        sform, code = header.get_sform(coded=True)
        header.set_qform(sform, int(code), strip_shears=True)
        if not np.allclose(header.get_qform(), sform, rtol=0, atol=1e-3):  # a quaternion can't say what is sheared
            header = type(header)(content, check=False)
            header["qform_code"] = 0
        with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, 0) as packed:
            packed.write(header.binaryblock)
            shutil.copyfileobj(stream, packed, PIECE)


def _swap(labels: LabelMap, ids: Sequence[int]) -> LabelMap:
    first, second = ids
    swapped = labels.copy()
    swapped[labels == first], swapped[labels == second] = second, first
    return swapped


def _describe(dataset: Dataset, repair: Repair) -> str:
    if repair.how == "swap sides":
        first, second = (f"{i} ({dataset.labels[i]})" for i in repair.swap)
        return f"{first} and {second} have changed places"
    if repair.how == "round labels":
        return "written as whole numbers"
    return "qform made that of the sform"


def _write_record(part: Path, dataset: Dataset, repaired: Sequence[Repaired]) -> None:
    content = {
        "made_by": f"coordinator dataset check --fix {version('label-quality-coordinator')}",
        "source": dataset.name,
        "files": {
            file.file: {
                "repairs": list(file.repairs),
                "sha256_before": file.sha256_before,
                "sha256_after": file.sha256_after,
            }
            for file in repaired
        },
    }
    atomic.write_json(part / RECORD, content)
