"""Gzip files: no more is inflated than the header announces, in linear time; what lies behind is said."""

import gzip
import os
import resource
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.niftibytes import nifti_bytes, save_gz

from contract.errors import CaseError
from contract.gzipfiles import EMPTY_BLOCK
from contract.volumes import read_image

HU = np.random.default_rng(4).integers(-1000, 1500, (7, 6, 5), np.int16)
PLAIN = np.diag([2.0, 3, 4, 1])


def bgzip(content: bytes, block: int) -> bytes:
    """Each block a member of its own, as bgzip writes them."""
    cuts = [*range(0, len(content), block), len(content)]
    return b"".join(gzip.compress(content[a:b], 1) for a, b in pairwise(cuts)) + EMPTY_BLOCK


def test_a_file_of_many_short_members_is_read_in_linear_time(tmp_path: Path):
    shape = (128, 128, 64)
    volume = np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)
    content = nifti_bytes(volume, PLAIN)
    (tmp_path / "one.nii.gz").write_bytes(gzip.compress(content, 1))
    (tmp_path / "many.nii.gz").write_bytes(bgzip(content, 100))
    seconds = {}
    for name in ("one", "many"):
        started = time.process_time()

        image = read_image(tmp_path / f"{name}.nii.gz")

        seconds[name] = time.process_time() - started
        assert np.array_equal(image.array, volume)
        assert image.notes == ()
    assert seconds["many"] < 3  # 21,000 members; copying the rest for each would take minutes


def test_a_bomb_behind_a_small_header_is_refused_in_little_memory(tmp_path: Path):
    squeeze = zlib.compressobj(1, wbits=31)
    bomb = squeeze.compress(nifti_bytes(HU, PLAIN))
    bomb += b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(150)) + squeeze.flush()
    (tmp_path / "a.nii.gz").write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CaseError, match=r"a.nii.gz: gzip stream must end after the voxels"):
        read_image(tmp_path / "a.nii.gz")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


@pytest.mark.parametrize(
    ("tail", "noted"),
    [
        (b"GARBAGE", "7 bytes behind the gzip stream"),
        (b"\x1f\x8bno gzip at all", "16 bytes behind"),
        (gzip.compress(b"more", mtime=0)[:-3], "bytes behind"),
        (b"\0" * 700, ""),
        (EMPTY_BLOCK, ""),
        (EMPTY_BLOCK + b"\0" * 9, ""),
    ],
    ids=["text", "a magic number", "a cut block", "zeros", "an empty block", "an empty block and zeros"],
)
def test_bytes_behind_the_stream_are_said_and_the_voxels_are_read(tail: bytes, noted: str, tmp_path: Path):
    file = save_gz(tmp_path / "a.nii.gz", nifti_bytes(HU, PLAIN))
    file.write_bytes(file.read_bytes() + tail)

    image = read_image(file)

    assert np.array_equal(image.array, HU)
    assert noted in " ".join(image.notes)
    assert bool(image.notes) == bool(noted)


def test_a_checksum_is_checked_also_where_more_than_the_voxels_follow(tmp_path: Path):
    packed = bytearray(gzip.compress(nifti_bytes(HU, PLAIN) + bytes(5000)))
    packed[-8] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(packed)

    with pytest.raises(CaseError, match=r"a.nii.gz: gzip stream is corrupt"):
        read_image(tmp_path / "a.nii.gz")


def test_a_huge_empty_file_is_not_read(tmp_path: Path):
    with (tmp_path / "a.nii.gz").open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)

    with pytest.raises(CaseError, match=r"a.nii.gz: file must be gzip"):
        read_image(tmp_path / "a.nii.gz")
