"""Every way in which a small file can be damaged, and a volume be another one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _put_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def replace_voxels(file: Path, change: Callable[[NDArray[Any]], NDArray[Any]]) -> bytes:
    """Put another volume in the place of one, in one step; returns the bytes of that one."""
    kept, volume = file.read_bytes(), nib.load(file)
    fresh = file.with_name(f"fresh-{file.name}")
    nib.save(nib.Nifti1Image(change(np.asarray(volume.dataobj)), volume.affine, volume.header), fresh)
    fresh.replace(file)
    return kept


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 3),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "a list": lambda path: path.write_bytes(b'[1, "a", null]\n'),
    "a number": lambda path: path.write_bytes(b"5\n"),
    "other keys": lambda path: path.write_bytes(b'{"case": [], "a": {"b": 1}, "event": null, "outputs": 3}\n'),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "a folder": _put_folder,
    "a pipe": _put_pipe,
    "a dangling link": _put_dangling_link,
}
