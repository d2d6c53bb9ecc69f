"""What `coordinator tool add` keeps of a foreign image, without an image and without an engine."""

import json
from pathlib import Path

from contract.manifest import Manifest
from coordinator.tools.added import AddedTool, CheckedRule

ID, OTHER_ID = f"sha256:{'4f0c' * 16}", f"sha256:{'9a1b' * 16}"
DIGEST = f"sha256:{'77e2' * 16}"
"""A registry's, which is another one than the id."""
STRANGER = Path(__file__).resolve().parents[1] / "foreign/describe.json"


def make_added(image: str = "lab/seg:1", **values: object) -> AddedTool:
    """A tool whose variant `v1` was checked: three rules hold, and one says nothing."""
    rules = [("run", True), ("grid", True), ("uid", True), ("weights", None)]
    given = {"id": ID, "added": "2026-03-01T10:00:00+00:00", "manifest": make_manifest()}
    checks = {"v1": tuple(CheckedRule(rule=rule, what=rule, holds=holds) for rule, holds in rules)}
    return AddedTool(**{"image": image, "checks": checks, **given, **values})


def make_manifest(**values: object) -> Manifest:
    """The stranger's manifest, with other values."""
    return Manifest.model_validate_json(json.dumps(json.loads(STRANGER.read_text()) | values))
