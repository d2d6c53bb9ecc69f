"""Whole studies as users run them: the command line, and what it leaves in a run folder."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COORDINATOR = Path(sys.executable).with_name("coordinator")
SMALL = """
name: small
data: data
datasets: [phantom]
generators:
  - {name: degraded-90, tool: degrade, options: {target-dice: 0.9}}
  - {name: degraded-60, tool: degrade, options: {target-dice: 0.6}}
train: {epochs: 2, batches_per_epoch: 2, patch: "16,16,8", filters: "4,8,16", holdout: 0.4, seeds: [0]}
run: {runtime: process, threads: 1}
"""
LIGHT = """
name: light
data: data
datasets: [phantom]
generators: [{name: degraded-70, tool: degrade, options: {target-dice: 0.7}}]
run: {runtime: process, threads: 1}
"""
"""One generator and no networks: the cheapest study with a real tool."""


def run_coordinator(*arguments: str | Path, environment: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end, with further variables in its environment."""
    return subprocess.run(
        [COORDINATOR, *arguments], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def read_contents(run: Path) -> dict[str, bytes]:
    """Everything in a run folder but times, logs and what the engine keeps for itself."""
    skipped = {"run.json", "events.jsonl", ".lock", ".check.json", ".todo"}
    endings = {".lock", ".log", ".out"}
    files = [p for p in run.rglob("*") if p.is_file() and p.name not in skipped and p.suffix not in endings]
    return {
        str(p.relative_to(run)): p.read_bytes()
        for p in files
        if not {".snakemake", ".slurm", ".kubernetes"} & set(p.parts)
    }
