"""A small tool that marks bright voxels, driven as users drive it: as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from contract.volumes import write_image

MANIFEST = """
contract: 1
name: bright
version: 0.1.0
kind: generator
summary: Marks bright voxels.
licence: Apache-2.0
needs: [{needs}]
default_variant: one
variants:
  one: {{summary: one label, labels: {{1: bright}}}}
options:
  lowest-hu: {{type: int, default: 100, minimum: -1000, maximum: 3000, help: lowest HU}}
  pause-s: {{type: float, default: 0, help: seconds a case}}
  returns: {{type: str, default: labels, choices: [labels, wrong-shape, unknown-id, floats, error], help: what it gives}}
"""
TOOL = """
import os, sys, time
import numpy as np
from contract import Cases, run

def load(context):
    print("loaded", file=sys.stderr, flush=True)
    return context.options

def segment(options, case):
    time.sleep(options["pause-s"])
    labels = (case.image.array >= options["lowest-hu"]).astype(np.uint8)
    match options["returns"]:
        case "wrong-shape": return labels[1:]
        case "unknown-id": return labels * 7
        case "floats": return labels * 0.5
        case "error": raise RuntimeError("out of memory, say")
    return labels

if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
"""
OBLIQUE = np.array([[1.5, 0.3, 0, -9], [-0.3, 1.4, 0.1, 5], [0, -0.1, -2.5, 40], [0, 0, 0, 1]], np.float64)


class Place:
    """A tool, a data folder with three cases, and a folder for results."""

    def __init__(self, folder: Path, needs: str = "") -> None:
        self.tool, self.data, self.out = folder / "bright", folder / "data", folder / "out"
        self.tool.mkdir()
        (self.tool / "manifest.yaml").write_text(MANIFEST.format(needs=needs))
        (self.tool / "tool.py").write_text(TOOL)
        self.dataset = self.data / "toy"
        (self.dataset / "images").mkdir(parents=True)
        (self.dataset / "dataset.yaml").write_text("name: toy\nlabels: {1: bright}\n")
        random = np.random.default_rng(1)
        for case in "abc":
            write_image(self.image(case), random.integers(-500, 500, (6, 5, 4), np.int16), OBLIQUE)

    def image(self, case: str) -> Path:
        return self.dataset / "images" / f"{case}.nii.gz"

    @property
    def results(self) -> Path:
        return self.out / "toy" / "bright-one"

    def command(self, *arguments: str) -> list[str]:
        folders = ["--data", str(self.data), "--out", str(self.out), "--inputs", str(self.data)]
        return [sys.executable, str(self.tool / "tool.py"), "--dataset", "toy", *folders, *arguments]

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )

    def statuses(self) -> dict[str, dict[str, Any]]:
        lines = (self.results / "status.jsonl").read_text().splitlines()
        return {record["case"]: record for record in map(json.loads, lines)}

    def times(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.results.glob("*.nii.gz")}
