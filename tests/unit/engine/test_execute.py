"""What a tool may go on from: label maps whose digests it checks, but never a damaged store or network."""

from pathlib import Path

import pytest

from contract import atomic
from contract.records import file_sha256
from coordinator.engine import outputs
from coordinator.engine.execute import _link_shared
from coordinator.study import steps
from coordinator.study.steps import Step

STEP = Step("toy/4-store/images", "tool", "toy/4-store/images", "toy", "store", "f1", tool="trainer", shared=True)


def make_output(folder: Path, **more: object) -> None:
    """An output of two files, as the contract library leaves it."""
    folder.mkdir(parents=True)
    for name in ("a.nii.gz", "b.nii.gz", "status.jsonl"):
        (folder / name).write_text(name)
    written = {name: file_sha256(folder / name) for name in ("a.nii.gz", "b.nii.gz")}
    atomic.write_json(folder / "run.json", {"outputs": written, **more})


@pytest.mark.parametrize(
    ("kind", "damaged", "kept"),
    [
        ("cases", "b.nii.gz", True),
        ("cases", "status.jsonl", False),
        ("cases", "run.json", False),
        ("job", "b.nii.gz", False),
    ],
)
def test_a_damaged_output_is_removed_unless_the_tool_mends_it(tmp_path: Path, kind: str, damaged: str, kept: bool):
    step = STEP._replace(shared=False)
    make_output(tmp_path / step.output, **({"cases": {}} if kind == "cases" else {}))
    outputs.write_record(tmp_path, step, {"fingerprint": "f1"})
    (tmp_path / step.output / damaged).unlink()

    outputs.remove_damaged(tmp_path, step)

    assert (tmp_path / step.output).exists() == kept


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("x.nii.gz")])
def test_a_damaged_store_of_another_study_is_not_linked_but_made_again(tmp_path: Path, damage):
    run = tmp_path / "run"
    folder = steps.shared_folder(run, STEP)
    make_output(folder)
    linked = _link_shared(run, STEP)
    damage(folder / "a.nii.gz")

    assert linked
    assert not _link_shared(run, STEP)
    assert not folder.exists()
