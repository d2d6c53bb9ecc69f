"""What the end of a Slurm job means, by the states that Slurm gives; those that a test cluster can't reach among them."""

from pathlib import Path

import pytest
from helpers.engine import nothing

from coordinator.engine.slurm.outcomes import Outcome, judge
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.engine.slurm.script import JobRequest, render_script
from coordinator.runners.cluster import MOST_MEMORY, MOST_RESTARTS, MOST_TIME, Allowance, parse_allowance
from coordinator.study import steps

STEP = nothing("a")


@pytest.mark.parametrize(
    ("state", "given", "expected"),
    [
        ("TIMEOUT", Allowance(), Allowance(time=2)),
        ("TIMEOUT", Allowance(time=4, memory=2, restarts=3), Allowance(time=8, memory=2, restarts=3)),
        ("DEADLINE", Allowance(), Allowance(time=2)),
        ("OUT_OF_MEMORY", Allowance(time=2), Allowance(time=2, memory=2)),
        ("NODE_FAIL", Allowance(), Allowance(restarts=1)),
        ("PREEMPTED", Allowance(restarts=7), Allowance(restarts=8)),
        ("BOOT_FAIL", Allowance(), Allowance(restarts=1)),
    ],
)
def test_a_step_is_submitted_again_with_what_its_job_lacked(
    state: str, given: Allowance, expected: Allowance, tmp_path: Path
):
    judgement = judge(tmp_path, STEP, state, given, waited_enough=False)

    assert (judgement.outcome, judgement.allowance) == (Outcome.AGAIN, expected)


@pytest.mark.parametrize(
    ("state", "given", "reason"),
    [
        ("TIMEOUT", Allowance(time=MOST_TIME), "Slurm ended its job with TIMEOUT, also with 8 times the time"),
        ("OUT_OF_MEMORY", Allowance(memory=MOST_MEMORY), "its job needed more memory, also with 2 times as much"),
        ("CANCELLED", Allowance(), "its job was cancelled, by somebody or because a step that it needs failed"),
    ],
)
def test_a_step_fails_when_more_would_not_help(state: str, given: Allowance, reason: str, tmp_path: Path):
    judgement = judge(tmp_path, STEP, state, given, waited_enough=False)

    assert (judgement.outcome, judgement.reason) == (Outcome.FAILED, reason)


@pytest.mark.parametrize(
    ("state", "words"), [("COMPLETED", "as COMPLETED"), ("FAILED", "as FAILED"), ("", "and has left the queue")]
)
def test_files_that_a_node_wrote_are_waited_for_before_a_step_counts_as_failed(state: str, words: str, tmp_path: Path):
    first = judge(tmp_path, STEP, state, Allowance(), waited_enough=False)
    last = judge(tmp_path, STEP, state, Allowance(), waited_enough=True)

    assert first.outcome is Outcome.WAIT
    assert (last.outcome, last.reason) == (
        Outcome.FAILED,
        f"its job ended {words}, without a result and without a reason",
    )


def test_a_step_that_said_why_it_failed_is_believed_at_once(tmp_path: Path):
    file = steps.failure_file(tmp_path, STEP.id)
    file.parent.mkdir(parents=True)
    file.write_text("the disk is full\n")

    judgement = judge(tmp_path, STEP, "FAILED", Allowance(), waited_enough=False)

    assert (judgement.outcome, judgement.reason) == (Outcome.FAILED, "")


def test_a_node_that_fails_again_and_again_ends_it(tmp_path: Path):
    given = Allowance(restarts=MOST_RESTARTS)

    assert judge(tmp_path, STEP, "NODE_FAIL", given, waited_enough=True).outcome is Outcome.FAILED


def test_a_job_carries_its_fingerprint_and_allowance(tmp_path: Path):
    request = JobRequest(tmp_path, "toy", STEP, 1, Allowance(time=4, memory=2, restarts=1))

    assert parse_allowance(request.comment) == (STEP.fingerprint, Allowance(time=4, memory=2, restarts=1))
    assert parse_allowance("something else") == ("", Allowance())


def test_time_and_memory_grow_with_the_allowance_up_to_the_sites_limits(tmp_path: Path):
    step = STEP._replace(memory_mb=1000, gpus=1)
    profile = SlurmProfile(gres="gpu:a100:{gpus}", gpu_partition="fast", partition="slow", max_minutes=100)
    first = render_script(JobRequest(tmp_path, "toy", step, 10), profile)
    later = render_script(JobRequest(tmp_path, "toy", step, 10, Allowance(time=8, memory=2)), profile)

    assert all(
        f"\n#SBATCH --{line}\n" in first for line in ("time=31", "mem=1250M", "gres=gpu:a100:1", "partition=fast")
    )
    assert all(f"\n#SBATCH --{line}\n" in later for line in ("time=100", "mem=2500M"))
    without = render_script(JobRequest(tmp_path, "toy", step, 10), profile.model_copy(update={"gpus": False}))
    assert "gres" not in without
    assert "\n#SBATCH --partition=slow\n" in without
