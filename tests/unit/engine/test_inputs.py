"""Files that are replaced while a study runs: the step that read them is not done, and says so."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from helpers.chains import BASE, SCORES, VERSION, check, do_chain, flip, make_chain, overwrite_alike

from contract.datasets import open_dataset
from contract.records import file_sha256
from coordinator.datasets.check import check_dataset
from coordinator.engine import coordinator_steps, inputs
from coordinator.engine.outputs import ChangedError
from coordinator.engine.todo import find_todo
from coordinator.study import steps


def act_during(monkeypatch: pytest.MonkeyPatch, kind: str, act: Callable[[], object]) -> None:
    """Let something happen at the end of a step's work, before its output is published."""
    work = coordinator_steps.FUNCTIONS[kind]

    def work_and_act(*arguments: object) -> None:
        work(*arguments)  # type: ignore[arg-type]
        act()

    monkeypatch.setitem(coordinator_steps.FUNCTIONS, kind, work_and_act)  # type: ignore[arg-type]


@pytest.mark.parametrize("file", ["images/b.nii.gz", "labels/b.nii.gz", "dataset.yaml"])
def test_an_input_that_is_replaced_while_a_step_reads_it_is_noticed_when_the_step_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
):
    run, path = tmp_path / "run", data / "toy" / file
    act_during(monkeypatch, "labels", lambda: overwrite_alike(path, flip(path)))

    codes = do_chain(run, make_chain(data))[2]

    assert codes == [1, 1, 1]
    assert str(path) in steps.failure_file(run, BASE).read_text()
    assert "other bytes than when the data were checked" in steps.failure_file(run, BASE).read_text()
    assert not (run / BASE).exists()
    assert BASE in inputs.take_changed(run)
    assert inputs.take_changed(run) == []


def test_after_the_next_plan_the_step_is_done_with_the_new_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    label = data / "toy/labels/b.nii.gz"
    with monkeypatch.context() as patched:
        act_during(patched, "labels", lambda: shutil.copy(data / "toy/labels/a.nii.gz", label))
        do_chain(tmp_path / "run", make_chain(data))

    _, todo, codes = do_chain(tmp_path / "run", make_chain(data, base="2"))

    assert todo == [BASE, VERSION, SCORES]
    assert codes == [0, 0, 0]
    voxels = pl.read_parquet(tmp_path / "run" / f"{SCORES}.parquet")["reference_voxels"].to_list()
    assert voxels[0] == voxels[1] != voxels[2]


def test_an_input_that_is_touched_or_linked_while_a_step_reads_it_is_no_other_input(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def touch() -> None:
        os.utime(data / "toy/images/a.nii.gz")
        os.link(data / "toy/images/b.nii.gz", tmp_path / "backup")

    act_during(monkeypatch, "labels", touch)

    assert do_chain(tmp_path / "run", make_chain(data))[2] == [0, 0, 0]


def test_a_result_that_is_replaced_while_another_step_reads_it_is_noticed_when_that_step_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    file = run / VERSION / "a.nii.gz"
    with monkeypatch.context() as patched:
        act_during(patched, "score", lambda: overwrite_alike(file, flip(file)))
        first = do_chain(run, make_chain(data))

    _, todo, codes = do_chain(run, make_chain(data))

    assert first[2] == [0, 0, 1]
    assert todo == [VERSION, SCORES]
    assert codes == [0, 0]


def test_a_label_of_equal_size_and_time_but_other_bytes_is_checked_again(data: Path, tmp_path: Path):
    dataset, cache = open_dataset(data, "toy"), tmp_path / "cache.json"
    before = check_dataset(dataset, cache=cache)
    overwrite_alike(dataset.label("a"), flip(dataset.label("a")))

    after = check_dataset(dataset, cache=cache)

    assert before.cases == ("a", "b", "c")
    assert after.cases == ("b", "c")


def test_a_dataset_that_was_only_copied_or_touched_keeps_its_checks(data: Path, tmp_path: Path):
    before = check_dataset(open_dataset(data, "toy"), cache=tmp_path / "cache.json")
    shutil.copytree(data / "toy", tmp_path / "moved/toy")

    after = check_dataset(open_dataset(tmp_path / "moved", "toy"), cache=tmp_path / "cache.json")

    assert after.checks == before.checks
    assert check(data).cases == before.cases


def test_weights_that_are_replaced_while_a_tool_runs_are_noticed_when_it_ends_and_a_fetch_is_none(
    data: Path, tmp_path: Path
):
    (tmp_path / "weights/medsam").mkdir(parents=True)
    file = tmp_path / "weights/medsam/lite.pth"
    file.write_bytes(b"one")
    plan = make_chain(data)._replace(weights=str(tmp_path / "weights"))
    step = plan.step(BASE)._replace(kind="tool", tool="medsam")
    reading = inputs.begin_reading(tmp_path / "run", plan, step)
    for written_by_fetch in (".fetch.lock", "SHA256SUMS", ".other.pth.part"):
        (file.parent / written_by_fetch).write_bytes(b"")
    reading.refuse_changes()

    overwrite_alike(file, b"two")
    os.utime(file)

    with pytest.raises(ChangedError, match=r"lite.pth: was replaced while toy/2-labels/base ran"):
        reading.refuse_changes()


def test_an_image_that_was_replaced_and_put_back_is_known_by_what_the_tool_recorded(data: Path, tmp_path: Path):
    run, plan = tmp_path / "run", make_chain(data)
    do_chain(run, plan)
    reading = inputs.begin_reading(run, plan, plan.step(BASE)._replace(kind="tool"))
    read = {case: file_sha256(data / f"toy/images/{case}.nii.gz") for case in "abc"}
    reading.refuse_other_cases(read)

    with pytest.raises(ChangedError, match=r"b.nii.gz: was replaced while"):
        reading.refuse_other_cases({**read, "b": read["a"]})


def test_nothing_is_written_by_a_look_at_a_run_folder(data: Path, tmp_path: Path):
    run, plan = tmp_path / "run", make_chain(data)
    do_chain(run, plan)
    os.utime(run / VERSION / "a.nii.gz")
    (run / VERSION / "b.nii.gz").unlink()
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}

    assert [step.id for step in find_todo(run, plan).steps] == [VERSION]
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before
