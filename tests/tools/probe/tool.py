"""A tool for tests: it prints what it can read and do, so that tests find that in its log."""

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import numpy as np
from settings import Settings

from contract import Case, Cases, Context, LabelMap, run


def load(context: Context) -> Settings:
    """Print what this run can read and do, as one line of JSON."""
    sys.stderr.write("probe: " + json.dumps(collect_facts(context)) + "\n")
    return Settings(float(context.options["threshold"]), float(context.options["pause-s"]))


def segment(settings: Settings, case: Case) -> LabelMap:
    """Mark bright voxels."""
    sys.stderr.write(f"working on {case.name}\n")
    sys.stderr.flush()
    time.sleep(settings.pause_s)
    return (np.asarray(case.image.array) > settings.threshold).astype(np.uint8)


PROCESSES = (Path("/sys/fs/cgroup/pids.max"), Path("/sys/fs/cgroup/pids/pids.max"))
"""Where a container's bound on processes stands, in version 2 of cgroups and in version 1."""


def collect_facts(context: Context) -> dict[str, object]:
    """Collect facts about the place that the tool runs in."""
    arguments = context.arguments
    return {
        "uid": os.getuid(),
        "data": sorted(path.name for path in (arguments.data / context.dataset.name).iterdir()),
        "datasets": sorted(path.name for path in arguments.data.iterdir()),
        "inputs": sorted(path.name for path in arguments.inputs.iterdir()) if arguments.inputs.is_dir() else [],
        "writes": {folder: is_writable(Path(folder)) for folder in ("/", "/app", "/tmp", str(arguments.data))},  # noqa: S108
        "network": reaches_network(),
        "capabilities": next(
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")
        ),
        "shm_mb": shutil.disk_usage("/dev/shm").total // 2**20,  # noqa: S108
        "tmp_mb": shutil.disk_usage("/tmp").total // 2**20,  # noqa: S108
        "processes": next((file.read_text().strip() for file in PROCESSES if file.exists()), ""),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "image_id": os.environ.get("TOOL_IMAGE_ID"),
        "pythonpath": os.environ.get("PYTHONPATH"),
        "home": os.environ.get("HOME"),
    }


def is_writable(folder: Path) -> bool:
    """Whether a file can be made in a folder."""
    try:
        (folder / ".probe").write_text("")
        (folder / ".probe").unlink()
    except OSError:
        return False
    return True


def reaches_network() -> bool:
    """Whether there is a network; connecting a datagram socket sends no packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
