"""Steps as jobs of a real Slurm: each is submitted once, whatever dies meanwhile."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.engine import LIMITS, nothing, plan
from helpers.slurm import (
    PROFILE,
    count_executions,
    jobs_of,
    kill_controller,
    make_place,
    resume_nodes,
    slow_template,
    start_controller,
    start_engine,
    steps_of,
    wait_for_state,
    wait_with_nodes,
)
from helpers.studies import LIGHT, run_coordinator

from contract.errors import UsageError
from coordinator.datasets.phantom import make_phantom
from coordinator.engine import snakemake
from coordinator.engine.slurm.place import Slurm, cancel_jobs
from coordinator.engine.slurm.waiting import describe_queue
from coordinator.runners.environment import user_name
from coordinator.study import steps
from coordinator.study.steps import Plan

pytestmark = pytest.mark.slurm

TESTS = Path(__file__).resolve().parents[1]
DIAMOND = plan(nothing("a"), nothing("b", "a"), nothing("c", "a"), nothing("d", "b", "c"))
STEPS = ["toy/a", "toy/b", "toy/c", "toy/d"]


def run_on(place: Slurm, run: Path, planned: Plan) -> dict[str, str]:
    """Do a plan on a cluster; which steps failed, and why."""
    with snakemake.lock_run_folder(run):
        place.prepare(run, planned)
        todo = snakemake.write_plan(run, planned)
        return snakemake.run_steps(run, planned, todo, place, lambda: None)


def test_each_step_is_one_job_and_a_second_run_submits_none(tmp_path: Path):
    assert run_on(make_place(), tmp_path, DIAMOND) == {}
    assert run_on(make_place(), tmp_path, DIAMOND) == {}

    assert steps_of(jobs_of(tmp_path, "toy")) == STEPS
    assert all(steps.is_done(tmp_path, step) for step in DIAMOND.steps)


def test_a_job_says_where_it_ran_and_asks_for_what_the_step_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("USER", raising=False)  # as in a cron job; a job knows its user nevertheless
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    step = nothing("a")._replace(cpus=2, memory_mb=400, gpus=1)
    profile = PROFILE.model_copy(
        update={
            "environment": {"LQ_HELLO": "it's here"},
            "scratch": f"{tmp_path}/scratch-$USER-${{PYTHONPATH:-clean}}",
            "constraint": None,
        }
    )

    run_on(make_place(profile), tmp_path, plan(step))

    (job,) = jobs_of(tmp_path, "toy")
    shown = subprocess.run(["scontrol", "show", "job", job.id], capture_output=True, text=True, check=True).stdout
    assert "NumCPUs=2" in shown
    assert "mem=500M" in shown
    assert "gres/gpu=1" in shown or "TresPerNode=gres:gpu:1" in shown
    assert (tmp_path / "logs/slurm/toy/a.out").read_text().startswith(f"job {job.id} on ")
    assert (tmp_path / f"scratch-{user_name()}-clean").is_dir()


def test_jobs_of_a_killed_coordinator_are_taken_over(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(DIAMOND))
    template = slow_template(tmp_path, 4)
    coordinator = start_engine(tmp_path, TESTS, f"template={template!r}")
    wait_for_state(tmp_path, "toy", "RUNNING", "PENDING")
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()

    assert run_on(make_place(PROFILE.model_copy(update={"template": template})), tmp_path, DIAMOND) == {}

    assert steps_of(jobs_of(tmp_path, "toy")) == STEPS
    assert "toy/a: job " in (tmp_path / "snakemake.log").read_text()


def test_what_ended_while_no_coordinator_was_there_is_taken_as_it_is(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(DIAMOND))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 3)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING", "PENDING")
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()
    wait_for_state(tmp_path, "toy", "COMPLETED")

    with snakemake.lock_run_folder(tmp_path):
        assert [step.id for step in snakemake.write_plan(tmp_path, DIAMOND)] == STEPS[1:]


def test_a_controller_that_dies_is_waited_for(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(DIAMOND))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 10)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING")
    time.sleep(6)  # until Slurm has saved that it runs
    kill_controller()
    try:
        time.sleep(3)
        assert coordinator.poll() is None
    finally:
        start_controller()

    assert wait_with_nodes(coordinator) == 0
    assert count_executions(tmp_path) == dict.fromkeys(STEPS, 1)


@pytest.mark.long
def test_a_controller_that_dies_while_it_starts_a_job_is_waited_for(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(DIAMOND))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 2)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING")
    kill_controller()
    time.sleep(4)
    start_controller()

    assert wait_with_nodes(coordinator, 600) == 0
    assert all(steps.is_done(tmp_path, step) for step in DIAMOND.steps)


def test_a_job_that_is_requeued_is_waited_for(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(nothing("a"))))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 3)!r}")
    (job,) = wait_for_state(tmp_path, "toy", "RUNNING")
    subprocess.run(["scontrol", "requeue", job.id], check=True)
    wait_for_state(tmp_path, "toy", "PENDING")
    time.sleep(2)  # a node refuses what begins again in the second in which it was taken back
    subprocess.run(["scontrol", "update", f"JobId={job.id}", "StartTime=now"], check=True)

    assert coordinator.wait(240) == 0

    assert steps.is_done(tmp_path, nothing("a"))
    assert [job.id for job in jobs_of(tmp_path, "toy")] == [job.id]
    assert "attempt 1" in (tmp_path / "logs/slurm/toy/a.out").read_text()


def test_a_cancelled_job_fails_its_step_alone_and_the_next_run_does_it(tmp_path: Path):
    planned = plan(nothing("a"), nothing("b"), nothing("c", "a"))
    (tmp_path / steps.PLAN).write_text(steps.plan_text(planned))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 3)!r}")
    found = {job.name.partition(".")[2]: job for job in wait_for_state(tmp_path, "toy", "RUNNING", count=2)}
    subprocess.run(["scancel", found["toy/a"].id], check=True)

    assert coordinator.wait(120) == 1

    assert steps.is_done(tmp_path, nothing("b"))
    reason = steps.read_failure(tmp_path, "toy/a") or ""
    assert reason.startswith("its job was cancelled, by somebody or because a step that it needs failed (job ")
    assert run_on(make_place(), tmp_path, planned) == {}
    assert steps_of(jobs_of(tmp_path, "toy")) == ["toy/a", "toy/a", "toy/b", "toy/c"]


def test_a_changed_plan_is_refused_while_jobs_of_the_old_one_are_in_the_queue(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(nothing("a"))))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 60)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING")
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()
    changed = plan(nothing("a", fingerprint="2"))

    with pytest.raises(
        UsageError, match=r"1 jobs of the study as it was are still in the queue: \d+ \(toy/a\); wait for"
    ):
        run_on(make_place(), tmp_path, changed)
    assert len(cancel_jobs(tmp_path, changed)) == 1
    wait_for_state(tmp_path, "toy", "CANCELLED")
    assert run_on(make_place(), tmp_path, changed) == {}


def test_steps_are_not_done_here_while_jobs_do_them(tmp_path: Path):
    planned = plan(nothing("a"))
    (tmp_path / steps.PLAN).write_text(steps.plan_text(planned))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 60)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING")
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()

    with pytest.raises(UsageError, match="1 Slurm jobs do its steps already; collect them with --place slurm"):
        LIMITS.prepare(tmp_path, planned)
    cancel_jobs(tmp_path, planned)
    wait_for_state(tmp_path, "toy", "CANCELLED")
    LIMITS.prepare(tmp_path, planned)


def test_a_job_of_an_older_plan_does_nothing(tmp_path: Path):
    from coordinator.engine.slurm.jobs import open_jobs

    older = plan(nothing("a"))
    place = make_place()
    place.prepare(tmp_path, older)
    (tmp_path / steps.MARKERS).mkdir()
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(nothing("a", fingerprint="2"))))
    with open_jobs(tmp_path, older, place.profile, {}) as jobs:
        jobs.start(older.steps[0])

    wait_for_state(tmp_path, "toy", "FAILED")

    assert not steps.marker_file(tmp_path, "toy/a").exists()
    log = (tmp_path / "logs/slurm/toy/a.out").read_text()
    assert "must hold toy/a as it was when it was submitted, but the study was changed" in log


def test_ctrl_c_takes_the_jobs_out_of_the_queue(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(nothing("a"))))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 60)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING")
    os.kill(coordinator.pid, signal.SIGINT)

    coordinator.wait(60)
    wait_for_state(tmp_path, "toy", "CANCELLED")


def test_what_slurm_refuses_fails_the_step_with_slurms_words(tmp_path: Path):
    reasons = run_on(make_place(PROFILE.model_copy(update={"partition": "no-such"})), tmp_path, plan(nothing("a")))

    assert "Slurm must take it, but: sbatch: error: invalid partition specified: no-such" in reasons["toy/a"]
    assert reasons["toy/a"].endswith("correct the site profile")


def test_the_status_tells_node_and_place_in_the_queue(tmp_path: Path):
    running, waiting = nothing("a"), nothing("b")._replace(cpus=4, memory_mb=6400)
    planned = plan(running, *(waiting._replace(id=f"toy/b{i}", output=f"toy/b{i}") for i in range(3)))
    (tmp_path / steps.PLAN).write_text(steps.plan_text(planned))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 60)!r}")
    wait_for_state(tmp_path, "toy", "RUNNING", count=2)
    wait_for_state(tmp_path, "toy", "PENDING", count=2)

    words = sorted(describe_queue(tmp_path, planned).values())

    coordinator.send_signal(signal.SIGINT)
    coordinator.wait(60)
    running, waiting = words[:2], words[2:]
    assert all(re.fullmatch(r"running: on n[12] \(job \d+, log: logs/slurm/toy/\w+\.out\)", text) for text in running)
    assert all(re.fullmatch(r"waiting: place [12] of 2, \w+ \(job \d+\)", text) for text in waiting)


def test_a_dry_run_writes_scripts_that_can_be_submitted_by_hand(tmp_path: Path):
    make_phantom(tmp_path / "data/phantom", cases=5, shape=(32, 28, 12))
    (tmp_path / "site.yaml").write_text("slurm: {account: null, options: [--nice=5], gres: 'gpu:a100:{gpus}'}\n")
    (tmp_path / "study.yaml").write_text(LIGHT)

    done = run_coordinator("run", tmp_path / "study.yaml", "--dry-run", "--place", "slurm")

    assert done.returncode == 0, done.stderr
    script = (tmp_path / "runs/light/.slurm/scripts/phantom/2-labels/base.sh").read_text()
    assert "#SBATCH --nice=5\n" in script
    assert "account" not in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert not jobs_of(tmp_path / "runs/light", "light")


def test_a_wrong_site_profile_is_refused_before_anything_is_submitted(tmp_path: Path):
    make_phantom(tmp_path / "data/phantom", cases=5, shape=(32, 28, 12))
    (tmp_path / "study.yaml").write_text(LIGHT)
    for text, message in (
        ("slurm: {partitoin: gpu}\n", "slurm.partitoin: unknown key; did you mean `partition`?"),
        ("slurm: {gres: gpu}\n", "slurm.gres: must hold {gpus}"),
        ("slurm: {template: no-such}\n", "no-such: must be a template of a job script"),
    ):
        (tmp_path / "site.yaml").write_text(text)
        done = run_coordinator("run", tmp_path / "study.yaml", "--place", "slurm")
        assert done.returncode == 2
        assert message in done.stderr
    assert not jobs_of(tmp_path / "runs/light", "light")


@pytest.mark.long
def test_a_step_whose_time_is_up_gets_more(tmp_path: Path):
    profile = PROFILE.model_copy(update={"template": slow_template(tmp_path, 90), "min_minutes": 1})

    assert run_on(make_place(profile), tmp_path, plan(nothing("a"))) == {}

    assert sorted(job.state for job in jobs_of(tmp_path, "toy")) == ["COMPLETED", "TIMEOUT"]


@pytest.mark.long
def test_a_step_whose_node_fails_is_done_elsewhere(tmp_path: Path):
    (tmp_path / steps.PLAN).write_text(steps.plan_text(plan(nothing("a"))))
    coordinator = start_engine(tmp_path, TESTS, f"template={slow_template(tmp_path, 10)!r}")
    (job,) = wait_for_state(tmp_path, "toy", "RUNNING")
    subprocess.run(["scontrol", "update", f"NodeName={job.node}", "State=DOWN", "Reason=test"], check=True)
    try:
        assert coordinator.wait(300) == 0
    finally:
        resume_nodes()

    assert steps.is_done(tmp_path, nothing("a"))
