"""The image store leaves out a case that can't be used, and names it; the others are stored."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from contract.records import read_statuses

SHORT = ("--patch", "16,16,8", "--filters", "6,12,24")


@pytest.fixture
def own(bench, tmp_path: Path):
    """A workbench of its own, without results."""
    for name in ("data", "split"):
        shutil.copytree(bench.folder / name, tmp_path / name)
    return replace(bench, folder=tmp_path)


def test_a_case_that_cannot_be_read_is_left_out_of_the_store_and_named(own):
    image = own.images / "b.nii.gz"
    image.write_bytes(image.read_bytes()[:-9])

    own.run("prepare", "store", *SHORT, split=own.folder / "split")

    plan = json.loads((own.out("store") / "plan.json").read_text())
    assert sorted(plan["cases"]) == ["a", "c", "d"]
    assert plan["holdout"] == ["d"]
    status = read_statuses(own.out("store"))["b"]
    assert status.state == "failed"
    assert "images/b.nii.gz: gzip stream is truncated" in str(status.reason)


def test_a_store_without_any_training_case_is_refused_with_all_reasons(own):
    for case in "abc":
        (own.images / f"{case}.nii.gz").write_bytes(b"no gzip")

    log = own.run("prepare", "store", *SHORT, code=3, split=own.folder / "split")

    assert all(f"images/{case}.nii.gz: file must be gzip" in log for case in "abc")
