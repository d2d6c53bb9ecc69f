"""Results that were deleted, truncated, overwritten or flipped are named and made again; nothing else is."""

import os
import shutil
import time
from pathlib import Path

import polars as pl
import pytest
from helpers.chains import BASE, SCORES, VERSION, do_chain, flip, flip_unseen, make_chain, overwrite_alike

from contract.errors import CaseError
from contract.stamps import take_stamp
from coordinator.engine import coordinator_steps, outputs, snakemake
from coordinator.engine.todo import find_todo
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

LABEL = f"{VERSION}/b.nii.gz"


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    """A run folder in which every step of the chain is done."""
    assert do_chain(tmp_path / "run", make_chain(data))[2] == [0, 0, 0]
    return tmp_path / "run"


def contents(run: Path) -> dict[str, bytes]:
    files = [file for file in run.rglob("*") if file.suffix in {".gz", ".parquet", ".json"}]
    return {str(file): file.read_bytes() for file in files if file.name != outputs.CHECK}


DAMAGE = {
    "deleted": (lambda file: file.unlink(), "is missing"),
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-9]), "bytes, not"),
    "overwritten": (lambda file: file.write_bytes(flip(file)), "other bytes"),
    "overwritten with equal size and time": (lambda file: overwrite_alike(file, flip(file)), "other bytes"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("file", "step"), [(LABEL, VERSION), (f"{BASE}/run.json", BASE), (f"{SCORES}.parquet", SCORES)]
)
def test_a_result_that_changed_is_named_and_made_again_to_the_same_bytes(
    run: Path, data: Path, file: str, step: str, damage: str
):
    before = contents(run)
    change, problem = DAMAGE[damage]
    change(run / file)

    lines, todo, codes = do_chain(run, make_chain(data))

    assert todo == [step]
    assert file in lines[0]
    assert problem in lines[0]
    assert set(codes) == {0}
    assert contents(run) == before
    assert do_chain(run, make_chain(data))[:2] == ([], [])


def test_what_depends_on_a_result_is_kept_if_that_comes_out_with_the_same_bytes(run: Path, data: Path):
    scored = take_stamp(run / f"{SCORES}.parquet")
    (run / LABEL).unlink()

    do_chain(run, make_chain(data))

    assert take_stamp(run / f"{SCORES}.parquet") == scored


def test_what_depends_on_a_result_is_made_again_if_that_comes_out_with_other_bytes(run: Path, data: Path):
    scored = take_stamp(run / f"{SCORES}.parquet")
    shutil.copy(data / "toy/labels/a.nii.gz", data / "toy/labels/b.nii.gz")  # as of a tool that is never twice the same
    (run / BASE / "b.nii.gz").unlink()

    _, todo, codes = do_chain(run, make_chain(data))

    assert todo == [BASE]
    assert codes == [0, 0, 0]
    assert take_stamp(run / f"{SCORES}.parquet") != scored
    assert pl.read_parquet(run / f"{SCORES}.parquet")["dice"].to_list() == [1.0, 1.0, 1.0]


def test_a_deleted_label_map_is_never_silently_out_of_a_mean(run: Path, data: Path):
    (run / LABEL).unlink()

    do_chain(run, make_chain(data, tolerance_mm=1.0))

    assert pl.read_parquet(run / f"{SCORES}.parquet")["case"].to_list() == ["a", "b", "c"]


def test_a_label_map_that_is_lost_before_scoring_fails_the_step(run: Path, data: Path):
    plan = make_chain(data, tolerance_mm=1.0)
    todo = snakemake.write_plan(run, plan)
    (run / LABEL).unlink()

    from coordinator.engine.execute import execute

    assert [step.id for step in todo] == [SCORES]
    assert execute(run, SCORES) == 1
    assert "b.nii.gz: is missing" in steps.failure_file(run, SCORES).read_text()
    assert [step.id for step in find_todo(run, plan).steps] == [VERSION, SCORES]


def test_bits_that_flip_on_the_disk_are_found_before_the_file_is_used(run: Path, data: Path):
    flip_unseen(run, VERSION, LABEL)
    plan = make_chain(data, tolerance_mm=1.0)

    first = do_chain(run, plan)
    second = do_chain(run, plan)

    assert (first[1], first[2]) == ([SCORES], [1])
    assert (second[1], second[2]) == ([VERSION, SCORES], [0, 0])


def test_verify_reads_all_results(run: Path, data: Path):
    flip_unseen(run, VERSION, LABEL)
    before = do_chain(run, make_chain(data))[1]

    lines, todo, codes = do_chain(run, make_chain(data), verify=True)

    assert before == []
    assert todo == [VERSION]
    assert lines == [f"{LABEL}: has other bytes than those that were written; {VERSION} must be done again"]
    assert codes == [0, 0]


def test_touched_and_copied_results_are_read_and_kept(run: Path, data: Path, tmp_path: Path):
    shutil.copytree(run, tmp_path / "copy")
    os.utime(run / LABEL)

    assert do_chain(run, make_chain(data))[:2] == ([], [])
    assert do_chain(tmp_path / "copy", make_chain(data))[:2] == ([], [])


def test_a_run_of_an_earlier_release_is_recorded_once_and_not_done_again(run: Path, data: Path):
    for file in (run / steps.MARKERS).rglob(outputs.CHECK):
        file.unlink()

    lines, todo, _ = do_chain(run, make_chain(data))

    assert todo == []
    assert "3 steps have no sound record of their files' sizes and times" in lines[0]
    assert do_chain(run, make_chain(data))[0] == []


@pytest.mark.parametrize(
    ("file", "expected"), [(LABEL, [VERSION]), (f"{BASE}/a.nii.gz", [BASE]), (f"{SCORES}.parquet", [SCORES])]
)
def test_what_an_earlier_release_lost_is_found_when_its_run_is_recorded(
    run: Path, data: Path, file: str, expected: list[str]
):
    for record in (run / steps.MARKERS).rglob(outputs.CHECK):
        record.unlink()
    if file.endswith(".parquet"):  # the mean over the cases that were there
        pl.read_parquet(run / file).filter(pl.col("case") != "b").write_parquet(run / file)
    else:
        (run / file).unlink()

    _, todo, codes = do_chain(run, make_chain(data))

    assert todo == expected
    assert set(codes) == {0}
    assert pl.read_parquet(run / f"{SCORES}.parquet")["case"].to_list() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"{}", b'{"marker": 1, "inputs": [], "files": {"x": 1}}', b"[1]"]
)
def test_a_record_that_is_no_record_is_made_again(run: Path, data: Path, content: bytes):
    outputs.record_file(run, VERSION).write_bytes(content)

    lines, todo, _ = do_chain(run, make_chain(data))

    assert todo == []
    assert len(lines) == 1
    assert outputs.read_record(run, VERSION) is not None


def test_a_marker_that_a_crash_left_out_is_written_again(run: Path, data: Path):
    marker = steps.marker_file(run, VERSION)
    before = marker.read_bytes()
    marker.unlink()

    assert do_chain(run, make_chain(data))[1] == []
    assert marker.read_bytes() == before


def test_the_check_of_ten_thousand_files_takes_a_moment(tmp_path: Path):
    planned = []
    for number in range(200):
        step = Step(f"toy/{number}", "nothing", f"toy/{number}", "toy", str(number), "1")
        (tmp_path / step.output).mkdir(parents=True)
        files = {f"{step.output}/{case}.nii.gz": "0" * 64 for case in range(50)}
        for file in files:
            (tmp_path / file).touch()
        steps.marker_file(tmp_path, step.id).parent.mkdir(parents=True, exist_ok=True)
        record = outputs.Record({"fingerprint": "1"}, {}, outputs.mark_files(tmp_path, files))
        outputs.save_record(tmp_path, step.id, record)
        outputs.write_marker(tmp_path, step, record)
        planned.append(step)
    begin = time.process_time()

    found = find_todo(tmp_path, Plan("toy", "", None, tuple(planned), {}))

    assert found.steps == ()
    assert time.process_time() - begin < 2


def test_a_case_that_failed_for_want_of_memory_is_done_by_the_next_run(
    run: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    before = contents(run)
    (run / LABEL).unlink()

    def run_out_of_memory(source: Path, target: Path, to_target: dict[int, int]) -> str:
        if source.name == "b.nii.gz":
            raise CaseError(f"{source}: volume must fit into memory, but does not") from MemoryError()
        return remap_file(source, target, to_target)

    remap_file = coordinator_steps.remap_file
    with monkeypatch.context() as short:
        short.setattr(coordinator_steps, "remap_file", run_out_of_memory)
        assert do_chain(run, make_chain(data))[2] == [0, 0]
    assert pl.read_parquet(run / f"{SCORES}.parquet")["case"].to_list() == ["a", "c"]

    lines, todo, codes = do_chain(run, make_chain(data))

    assert lines == [f"{VERSION}: b failed for want of memory, or of a disk that answers; tried again"]
    assert todo == [VERSION]
    assert codes == [0, 0]
    assert contents(run) == before
    assert do_chain(run, make_chain(data))[:2] == ([], [])
