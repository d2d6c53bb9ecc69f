"""DICOM files with bytes changed, lost or cut at random: the import sets the case aside, or refuses the source; no traceback.

FUZZ_COUNT files are tried, 20 of each kind where it is not set.
"""

import random
import shutil
from pathlib import Path

import pytest
from helpers.dicomcases import draw, place
from helpers.dicomlabels import draw_contours, write_seg
from helpers.dicomseries import write_ct, write_rtstruct
from helpers.fuzzing import bounded, count, generator

from contract.errors import CaseError, UsageError
from coordinator.datasets.importing.dicom.onecase import import_scan
from coordinator.datasets.importing.listing import list_folder
from coordinator.datasets.importing.recognise import recognise
from coordinator.datasets.importing.results import Place

HEADER = 1800
"""Bytes of a slice before its pixels, in which any value may be."""


def write_source(source: Path, kind: str) -> Path:
    """A labelled series; returns the file that is mutated."""
    image, masks = draw(1, place())
    slices = write_ct(source / "p" / "ct", image, place())
    labels = source / "p" / "labels" / "1"
    if kind == "RTSTRUCT":
        write_rtstruct(
            labels, slices[0], {organ: draw_contours(masks[organ], place()) for organ in ("liver", "spleen")}
        )
    else:
        write_seg(labels, slices, {"Liver": masks["liver"], "Spleen": masks["spleen"]})
    return slices[4] if kind == "CT" else labels


def mutate(content: bytes, drawn: random.Random, end: int) -> bytes:
    """Change a few bytes before `end`, lose one, or cut the file."""
    changed = bytearray(content)
    for _ in range(drawn.choice([1, 2, 5])):
        changed[drawn.randrange(132 if drawn.random() < 0.9 else 0, end)] = drawn.randrange(256)
    if drawn.random() < 0.1:
        del changed[drawn.randrange(end)]
    return bytes(changed[: drawn.randrange(len(changed))] if drawn.random() < 0.1 else changed)


@pytest.mark.parametrize("kind", ["CT", "SEG", "RTSTRUCT"])
def test_a_mutated_file_ends_in_a_sentence(kind: str, tmp_path: Path):
    target = write_source(tmp_path / "s", kind)
    content, drawn = target.read_bytes(), generator(f"dicom {kind}")
    end = min(len(content), HEADER) if kind == "CT" else len(content)
    imported = 0

    for number in range(count(20)):
        target.write_bytes(mutate(content, drawn, end))
        part = tmp_path / "part"
        shutil.rmtree(part, ignore_errors=True)
        for folder in ("images", "labels"):
            (part / folder).mkdir(parents=True)
        with bounded((kind, number)):
            try:
                found = recognise(list_folder(tmp_path / "s"), "dicom")
                for case in found.cases:
                    assert case.scan is not None
                    import_scan(
                        case.name, case.scan, Place(tmp_path / "s", part, tmp_path), found.description.labels or {}
                    )
                    imported += 1
            except (CaseError, UsageError) as error:
                assert str(error)

    assert imported > 0
