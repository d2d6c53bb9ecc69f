"""A step that was shared out goes on from what its shards made, whatever was killed meanwhile."""

from pathlib import Path

import pytest

from contract import records
from contract.records import CaseStatus, file_sha256
from coordinator.engine import shards
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.study import steps
from coordinator.study.steps import Plan, Step

STEP = Step(
    "word/1-raw/a", "tool", "datasets/word/1-raw/a", "word", "a", "f", tool="degrade", cases=5,
    arguments=("--dataset", "word", "--cases", "@split/all.txt"),
)  # fmt: skip
CASES = ["a", "b", "c", "d", "e"]
PLAN = Plan("toy", "/nowhere", None, (STEP,), {"cases": {"word": CASES}})


def make_shard(run: Path, number: int, count: int, device: str = "cpu", failed: str = "") -> Path:
    """Write what a tool leaves for the cases of a shard."""
    result = steps.shards_folder(run, STEP) / f"{number}-of-{count}/out/word/a"
    result.mkdir(parents=True)
    record: dict[str, object] = {"tool": "degrade", "device": device, "seconds": 1.5}
    outputs: dict[str, str | None] = {}
    for case in CASES[number - 1 :: count]:
        file = result / f"{case}.nii.gz"
        if case == failed:
            records.append_status(result, CaseStatus.failed(case, ValueError("broken"), "1"))
            continue
        file.write_text(f"labels of {case}")
        outputs[file.name] = file_sha256(file)
        records.append_status(result, CaseStatus(case, "done", "1", outputs[file.name]))
    cases = {case: {"seconds": 1.0} for case in CASES[number - 1 :: count]}
    records.write_run(result, record | {"outputs": outputs, "cases": cases})
    return result


def test_all_that_shards_made_is_where_the_tool_goes_on_from(tmp_path: Path):
    make_shard(tmp_path, 1, 2, "cuda (A100)")
    make_shard(tmp_path, 2, 2, "cuda (V100)", failed="d")
    result = tmp_path / "result"

    shards.take_over(tmp_path, PLAN, STEP, result)

    statuses, record = records.read_statuses(result), records.read_run(result)
    assert {case: status.state for case, status in statuses.items()} == dict.fromkeys(CASES, "done") | {"d": "failed"}
    assert {file.name: file_sha256(file) for file in result.glob("*.nii.gz")} == record["outputs"]
    assert list(record["cases"]) == CASES
    assert (record["device"], record["seconds"]) == ("cuda (A100); cuda (V100)", 3.0)
    assert not steps.shards_folder(tmp_path, STEP).exists()


@pytest.mark.parametrize("moves", range(5))
def test_a_kill_while_shards_are_taken_over_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int):
    made = [make_shard(tmp_path, number, 2) for number in (1, 2)]
    expected = {file.name: file.read_bytes() for folder in made for file in folder.glob("*.nii.gz")}
    replace, done = Path.replace, []

    def replace_some(self: Path, target: Path) -> Path:
        if self.name in expected:
            if len(done) == moves:
                raise KeyboardInterrupt
            done.append(self)
        return replace(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", replace_some)
        shards.take_over(tmp_path, PLAN, STEP, tmp_path / "result")
    shards.take_over(tmp_path, PLAN, STEP, tmp_path / "result")

    result = tmp_path / "result"
    assert {file.name: file.read_bytes() for file in result.glob("*.nii.gz")} == expected
    assert sorted(records.read_statuses(result)) == CASES
    assert list(records.read_run(result)["outputs"]) == sorted(expected)


def test_a_shard_that_was_killed_gives_the_cases_that_it_did(tmp_path: Path):
    made = make_shard(tmp_path, 1, 2)
    (made / "run.json").unlink()
    (made / ".e.nii.gz.part").write_text("half")

    shards.take_over(tmp_path, PLAN, STEP, tmp_path / "result")

    assert sorted(records.read_statuses(tmp_path / "result")) == ["a", "c", "e"]
    assert {file.name for file in (tmp_path / "result").iterdir()} == {
        "a.nii.gz",
        "c.nii.gz",
        "e.nii.gz",
        "status.jsonl",
    }


def test_cases_that_left_the_study_are_not_taken(tmp_path: Path):
    make_shard(tmp_path, 1, 1)
    fewer = PLAN._replace(about={"cases": {"word": ["a", "b"]}})

    shards.take_over(tmp_path, fewer, STEP, tmp_path / "result")

    assert sorted(file.name for file in (tmp_path / "result").glob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz"]
    assert list(records.read_run(tmp_path / "result")["outputs"]) == ["a.nii.gz", "b.nii.gz"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (STEP, True),
        (STEP._replace(output="datasets/word/folds/0/1-raw/a"), True),
        (STEP._replace(image="sha256:1"), False),
        (STEP._replace(output="datasets/word/0-work/a/fold-0"), False),
        (STEP._replace(output="datasets/word/5-models/a/seed-0"), False),
        (STEP._replace(kind="remap"), False),
    ],
    ids=["generator", "of a fold", "foreign image", "training of a generator", "network", "no tool"],
)
def test_only_label_maps_of_our_tools_are_shared_out(tmp_path: Path, step: Step, expected: bool):
    assert shards.can_share(tmp_path, step) is expected


@pytest.mark.parametrize(
    "place", ["datasets/word/1-raw/a", "datasets/word/1-raw/.a.part", "datasets/word/1-raw/.a.shards"]
)
def test_what_has_results_is_not_shared_out(tmp_path: Path, place: str):
    (tmp_path / place).mkdir(parents=True)

    assert not shards.can_share(tmp_path, STEP)


@pytest.mark.parametrize(
    ("minutes", "cases", "expected"), [(0, 5, 1), (240, 5, 1), (241, 5, 2), (10_000, 5, 5), (10_000, 5000, 16)]
)
def test_how_many_shards_a_step_gets(minutes: float, cases: int, expected: int):
    assert SlurmProfile().count_shards(minutes, cases) == expected
