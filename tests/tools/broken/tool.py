"""A foreign tool: keeps the contract without its library, except for the rule that the file `broken` names."""

import argparse
import gzip
import hashlib
import importlib.metadata
import json
import os
import pwd
import signal
import socket
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

HERE = Path(__file__).resolve().parent
BROKEN = (HERE / "broken").read_text().strip() if (HERE / "broken").exists() else ""
MANIFEST = yaml.safe_load((HERE / "manifest.yaml").read_text())
WEIGHTS = MANIFEST["variants"]["plain"]["weights"][0]
KINDS = {"int": int, "float": float, "str": str, "bool": lambda text: text == "true"}


class UsageError(Exception):
    """Exit code 2."""


def main() -> int:
    if sys.argv[1:2] == ["describe"]:
        if BROKEN == "describe":
            sys.stdout.write("loading …\n")
        sys.stdout.write(json.dumps(MANIFEST))
        return 0
    signal.signal(signal.SIGTERM, signal.SIG_IGN if BROKEN == "stop: goes on" else lambda *_: sys.exit(143))
    try:
        return run(parse_arguments())
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("dataset", "variant", "cases", "shard", "device", "label-version"):
        parser.add_argument(f"--{name}", default=read_variable(name))
    for name, default in (("data", "/data"), ("out", "/out"), ("inputs", "/in"), ("weights", "/weights")):
        parser.add_argument(f"--{name}", type=Path, default=Path(default))
    parser.add_argument("--threads", type=int, default=int(read_variable("threads") or 1))
    parser.add_argument("--overwrite", action="store_true")
    for name, option in MANIFEST["options"].items():
        default = read_variable(name) if not (BROKEN == "environment: an option" and name == "share") else None
        value = option["default"] if default is None else KINDS[option["type"]](default)
        if option["type"] == "bool":
            parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=value)
        else:
            parser.add_argument(f"--{name}", type=KINDS[option["type"]], choices=option.get("choices"), default=value)
    arguments, unknown = parser.parse_known_args()
    if unknown and BROKEN != "usage":
        parser.error(f"unknown: {unknown}")
    if not arguments.dataset:
        raise UsageError("--dataset is missing")
    return arguments


def read_variable(name: str) -> str | None:
    return None if BROKEN == "environment" else os.environ.get(f"TOOL_{name.replace('-', '_').upper()}")


def run(arguments: argparse.Namespace) -> int:
    dataset = arguments.data / arguments.dataset
    cases = choose_cases(arguments, dataset)
    weights = sha256(arguments.weights / "broken" / WEIGHTS["file"])
    if weights != WEIGHTS["sha256"] and BROKEN != "weights":
        raise UsageError("weights.bin has another sha256")
    out = arguments.out / arguments.dataset / (arguments.label_version or "broken-plain")
    out.mkdir(parents=True, exist_ok=True)
    misbehave(arguments)
    options = {name: getattr(arguments, name.replace("-", "_")) for name in MANIFEST["options"]}
    identity = {**({} if BROKEN == "changed-option" else options), "threads": arguments.threads, "weights": weights}
    lines = read_lines(out / "status.jsonl")
    todo = [case for case in cases if not is_done(out, lines.get(case), fingerprint(dataset, case, identity))]
    if todo or BROKEN == "again: loads":
        load()
    for case in todo:
        lines[case] = do_case(dataset, case, out, options) | {"fingerprint": fingerprint(dataset, case, identity)}
        write(out / "status.jsonl", "".join(json.dumps(lines[name]) + "\n" for name in sorted(lines)))
    if todo or not (out / "run.json").exists():
        write(out / "run.json", json.dumps(make_run_record(arguments, options, weights, dataset, lines)))
    return 3 if any(lines[case]["state"] == "failed" for case in cases) else 0


def choose_cases(arguments: argparse.Namespace, dataset: Path) -> list[str]:
    if not (dataset / "dataset.yaml").exists():
        raise UsageError(f"no dataset {arguments.dataset}")
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (dataset / "images").glob("*.nii.gz"))
    if not cases and BROKEN != "empty":
        raise UsageError("no images")
    if arguments.cases and BROKEN != "cases":
        return arguments.cases.split(",")
    if arguments.shard and BROKEN != "cases: shards":
        index, count = map(int, arguments.shard.split("/"))
        return cases[index - 1 :: count]
    return cases[:-1] if BROKEN == "run" else cases


def misbehave(arguments: argparse.Namespace) -> None:
    """Break the rules that have nothing to do with the output."""
    match BROKEN:
        case "uid":
            pwd.getpwuid(os.getuid())
        case "network":
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
        case "root":
            Path("/var/tmp/cache").write_text("cache")  # noqa: S108 - anybody may write there, if the root can be written
        case "privileges":
            (arguments.out / "file").write_text("")
            os.chown(arguments.out / "file", 1, 1)
        case "shm":
            Path("/dev/shm/buffer").write_bytes(bytes(100 * 2**20))  # noqa: S108 - shared memory
        case "outside":
            (HERE / "cache").write_text("cache")
        case "outside: data":
            with (arguments.data / arguments.dataset / "dataset.yaml").open("a") as file:
                file.write("# seen\n")


def load() -> None:
    time.sleep(2.5 if BROKEN == "again: loads" else 0)


def fingerprint(dataset: Path, case: str, identity: dict) -> str:
    kinds = ["labels"] if BROKEN == "changed-input" else ["images", "labels"]
    sums = [sha256(dataset / kind / f"{case}.nii.gz") for kind in kinds]
    return hashlib.sha256(json.dumps([sums, identity]).encode()).hexdigest()


def is_done(out: Path, line: dict | None, expected: str) -> bool:
    if line is None or line["state"] != "done" or BROKEN == "again":
        return False
    return line["fingerprint"] == expected and sha256(out / f"{line['case']}.nii.gz") == line["output_sha256"]


def do_case(dataset: Path, case: str, out: Path, options: dict) -> dict:
    file = out / f"{case}.nii.gz"
    file.unlink(missing_ok=True)
    if BROKEN == "stop: goes on":
        time.sleep(0.3)
    line = {"case": case, "state": "done", "output_sha256": None, "reason": None, "notes": []}
    try:
        image, labels = read(dataset / "images" / file.name), read(dataset / "labels" / file.name)
        check_grid(image, labels)
        save(file, segment(image, labels, options), image)
    except (OSError, ValueError, EOFError) as error:
        if BROKEN == "truncated":
            raise
        return line | {"state": "failed", "reason": "" if BROKEN == "truncated: no reason" else str(error)}
    if BROKEN == "status":
        del line["notes"]
    return line | {"output_sha256": "0" * 64 if BROKEN == "status: sha256" else sha256(file)}


def check_grid(image: nib.Nifti1Image, labels: nib.Nifti1Image) -> None:
    if not np.allclose(image.affine, labels.affine, atol=1e-3) and BROKEN != "label-grid":
        raise ValueError("labels lie on another grid")


def read(path: Path) -> nib.Nifti1Image:
    content = path.read_bytes()
    try:
        return nib.Nifti1Image.from_bytes(gzip.decompress(content))
    except EOFError as error:
        if BROKEN == "truncated: zeros" and path.parent.name == "images":
            return nib.Nifti1Image.from_bytes(zeros_for_the_rest(path))
        raise ValueError(f"{path}: {error}") from None


def zeros_for_the_rest(path: Path) -> bytes:
    import zlib

    return zlib.decompressobj(wbits=31).decompress(path.read_bytes()).ljust(352 + 2 * 48 * 40 * 12, b"\0")


def segment(image: nib.Nifti1Image, labels: nib.Nifti1Image, options: dict) -> np.ndarray:
    """Mark bone and the liver, voxel by voxel, so that the orientation does not matter."""
    marked = (np.asarray(image.dataobj) >= options["lowest-hu"]).astype(np.uint8) * options["bone"]
    if options["organ"] == "liver":
        marked[np.asarray(labels.dataobj) == 4] = 9 if BROKEN == "ids" else 2
    if BROKEN == "orientation":
        marked[: len(marked) // 3] = 0
    if BROKEN == "stop: other bytes":
        marked.flat[int(time.time() * 1000) % marked.size] ^= 1
    return marked.astype({"integers": np.int64, "integers: float": np.float32}.get(BROKEN, np.uint8))


def save(file: Path, array: np.ndarray, image: nib.Nifti1Image) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    labels = nib.Nifti1Image(array, image.affine, header)
    labels.set_sform(*form_and_code(image.get_sform(coded=True)))
    labels.set_qform(*form_and_code(image.get_qform(coded=True)))
    match BROKEN:
        case "grid":
            labels = nib.Nifti1Image(array, image.affine)
        case "grid: moved":
            labels.set_sform(image.affine + np.eye(4)[3] * [[1], [0], [0], [0]], 1)
        case "grid: shape":
            labels = nib.Nifti1Image(array[:-1], None, labels.header)
        case "integers: scale":
            labels.header.set_slope_inter(2, 0)
    content = gzip.compress(labels.to_bytes(), mtime=0)
    if BROKEN == "stop: half a file":
        file.write_bytes(content[:500])
        time.sleep(0.4)
        file.write_bytes(content)
    write(file, content)


def form_and_code(form: tuple[np.ndarray | None, int]) -> tuple[np.ndarray | None, int]:
    return form[0] if form[1] else None, int(form[1])


def make_run_record(arguments: argparse.Namespace, options: dict, weights: str, dataset: Path, lines: dict) -> dict:
    outputs = {f"{case}.nii.gz": line["output_sha256"] for case, line in lines.items() if line["output_sha256"]}
    cases = {
        case: {"input_sha256": sha256(dataset / "images" / f"{case}.nii.gz"), "output_sha256": line["output_sha256"],
               "seconds": 0.1, "peak_memory_mb": 99}
        for case, line in lines.items()
    }  # fmt: skip
    content = {
        "tool": "broken", "version": MANIFEST["version"], "variant": "plain", "step": None, "options": options,
        "weights": [{"file": WEIGHTS["file"], "sha256": weights, "licence": "MIT"}], "device": "cpu",
        "threads": arguments.threads, "image_id": os.environ.get("TOOL_IMAGE_ID"), "revision": None, "outputs": outputs,
        "packages": {d.name: d.version for d in importlib.metadata.distributions()}, "cases": cases, "seconds": 1.0,
    }  # fmt: skip
    match BROKEN:
        case "provenance":
            del content["packages"]
        case "provenance: input":
            cases["a_ras"]["input_sha256"] = "0" * 64
        case "provenance: options":
            content["options"] = {}
    return content


def read_lines(file: Path) -> dict[str, dict]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {line["case"]: line for line in map(json.loads, lines)}


def write(file: Path, content: str | bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content if isinstance(content, bytes) else content.encode())
    part.replace(file)


def sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return error.strerror


if __name__ == "__main__":
    sys.exit(main())
