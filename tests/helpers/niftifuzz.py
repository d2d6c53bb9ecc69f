"""Mutated NIfTI files: file n of a seed is always the same, so that a finding is named by two numbers."""

import gzip
import zlib
from collections.abc import Callable
from itertools import pairwise

import nibabel as nib
import numpy as np
from helpers.niftibytes import OBLIQUE

KINDS = (np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 3e38, -3e38, 1e300, float("nan"), float("inf"), float("-inf"))
Random = np.random.Generator
Header = type[nib.Nifti1Header]


def make_file(seed: int, number: int) -> bytes:
    """The bytes of one mutated .nii.gz file."""
    random = np.random.Generator(np.random.Philox(key=[seed, number]))
    header, content = _make_base(random)
    for _ in range(random.integers(0, 5)):
        mutate = MUTATIONS[random.integers(len(MUTATIONS))]
        content = mutate(random, header, content)
    packed = PACKERS[random.integers(len(PACKERS))](random, bytes(content))
    if random.random() < 0.4:
        packed = PACKED_MUTATIONS[random.integers(len(PACKED_MUTATIONS))](random, packed)
    return packed


def _make_base(random: Random) -> tuple[Header, bytearray]:
    """A sound small file of any version, byte order and type."""
    image_class = (nib.Nifti1Image, nib.Nifti2Image)[int(random.random() < 0.2)]
    array = random.integers(0, 5, random.integers(1, 9, 3)).astype(KINDS[random.integers(len(KINDS))])
    header = image_class.header_class(endianness="<>"[int(random.random() < 0.15)])
    header.set_data_dtype(array.dtype)
    image = image_class(array, OBLIQUE, header)
    image.set_sform(OBLIQUE, int(random.integers(0, 3)))
    image.set_qform(OBLIQUE, int(random.integers(0, 3)))
    image.header.set_xyzt_units(("unknown", "mm", "micron", "meter")[random.integers(4)])
    return image_class.header_class, bytearray(image.to_bytes())


def _set_field(random: Random, header: Header, content: bytearray) -> bytearray:
    """Write an extreme or random value into a field, or into one of its numbers."""
    names = list(header.template_dtype.names)
    kind, offset = header.template_dtype.fields[names[random.integers(len(names))]][:2]
    base, count = (kind.subdtype[0], int(np.prod(kind.shape))) if kind.subdtype else (kind, 1)
    offset += int(random.integers(count)) * base.itemsize
    value = _extreme_value(random, base)
    content[offset : offset + base.itemsize] = value
    return content


def _extreme_value(random: Random, base: np.dtype) -> bytes:
    if base.kind == "f":
        with np.errstate(all="ignore"):
            return np.array(FLOATS[random.integers(len(FLOATS))]).astype(base).tobytes()
    if base.kind in "iu":
        limits = np.iinfo(base)
        values = [limits.min, limits.max, 0, 1, 2, 3, 7, 16, 64, 128, limits.max // 2]
        return np.array(values[random.integers(len(values))], base).tobytes()
    return random.bytes(base.itemsize)


def _set_dims(random: Random, header: Header, content: bytearray) -> bytearray:
    kind, offset = header.template_dtype.fields["dim"][:2]
    choices = [*[1] * 4, 0, -1, 2, 5, 300, 32767]
    dims = np.array([random.integers(-1, 9), *random.choice(choices, 7)], kind.subdtype[0])
    content[offset : offset + dims.nbytes] = dims.tobytes()
    return content


def _flip_bytes(random: Random, header: Header, content: bytearray) -> bytearray:
    for position in random.integers(
        0, min(len(content), header.template_dtype.itemsize + 4) or 1, random.integers(1, 9)
    ):
        if position < len(content):
            content[position] = random.integers(256)
    return content


def _cut(random: Random, header: Header, content: bytearray) -> bytearray:
    return content[: random.integers(0, len(content) + 1)]


def _append(random: Random, header: Header, content: bytearray) -> bytearray:
    return content + random.bytes(int(random.integers(1, 5000)))


def _insert(random: Random, header: Header, content: bytearray) -> bytearray:
    position = int(random.integers(0, len(content) + 1))
    return content[:position] + random.bytes(int(random.integers(1, 64))) + content[position:]


def _noise(random: Random, header: Header, content: bytearray) -> bytearray:
    """Voxels of noise: NaN, infinity and huge numbers where they are floats."""
    start = header.template_dtype.itemsize + 4
    return content[:start] + random.bytes(max(0, len(content) - start))


def _pack_plain(random: Random, content: bytes) -> bytes:
    return gzip.compress(content, 1)


def _pack_stored(random: Random, content: bytes) -> bytes:
    return gzip.compress(content, 0)


def _pack_members(random: Random, content: bytes) -> bytes:
    cuts = sorted({0, len(content), *random.integers(0, len(content) + 1, 5).tolist()})
    return b"".join(gzip.compress(content[a:b], 1) for a, b in pairwise(cuts)) or gzip.compress(b"")


def _pack_bomb(random: Random, content: bytes) -> bytes:
    squeeze = zlib.compressobj(1, wbits=31)
    zeros = bytes(1 << 20)
    parts = [squeeze.compress(content), *(squeeze.compress(zeros) for _ in range(random.integers(1, 40)))]
    return b"".join(parts) + squeeze.flush()


def _flip_packed(random: Random, packed: bytes) -> bytes:
    broken = bytearray(packed)
    for position in random.integers(0, len(broken), random.integers(1, 5)):
        broken[position] ^= 1 << int(random.integers(8))
    return bytes(broken)


def _cut_packed(random: Random, packed: bytes) -> bytes:
    return packed[: random.integers(0, len(packed) + 1)]


def _append_packed(random: Random, packed: bytes) -> bytes:
    return packed + (random.bytes(int(random.integers(1, 200))), b"\0" * 99, b"\x1f\x8b", packed)[random.integers(4)]


def _set_flags(random: Random, packed: bytes) -> bytes:
    return packed[:3] + random.bytes(1) + packed[4:]


MUTATIONS: tuple[Callable[[Random, Header, bytearray], bytearray], ...] = (
    _set_field, _set_field, _set_field, _set_dims, _flip_bytes, _cut, _append, _insert, _noise,
)  # fmt: skip
PACKERS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *[_pack_plain] * 8,
    *[_pack_stored] * 4,
    *[_pack_members] * 4,
    _pack_bomb,
)
PACKED_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (_flip_packed, _cut_packed, _append_packed, _set_flags)
