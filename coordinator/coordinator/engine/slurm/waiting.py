"""Where the jobs of a run folder are: on a node, or how many jobs stand before them in the queue."""

from pathlib import Path

from coordinator.engine.slurm import queue
from coordinator.engine.slurm.jobs import find_live_jobs
from coordinator.engine.slurm.script import SHARDS, JobRequest, name_prefix
from coordinator.study.steps import Plan


def describe_queue(run: Path, plan: Plan) -> dict[str, str]:
    """Step -> words for its job, such as "running: on n1 (job 17, log: logs/slurm/…)".

    Raises:
        NoAnswerError: the queue can't be read now.
    """
    live = find_live_jobs(run, plan)["current"]
    if not live:
        return {}
    places = {job: place for place, job in enumerate(queue.list_waiting(), 1)}
    prefix, found = name_prefix(run, plan.study), {}
    shards: dict[str, list[bool]] = {}
    for job in live:
        if job.name.endswith(SHARDS):
            shards.setdefault(job.name.removeprefix(prefix).removesuffix(SHARDS), []).append(job.state != "PENDING")
            continue
        step = plan.step(job.name.removeprefix(prefix))
        if job.state == "PENDING":
            place = f"place {places[job.id]} of {len(places)}, " if job.id in places else ""
            words = f"waiting: {place}{job.reason} (job {job.id})"
        else:
            state = "running" if job.state == "RUNNING" else job.state.lower()
            words = f"{state}: on {job.node} (job {job.id}, log: {JobRequest(run, plan.study, step, 0).log})"
        found[step.id] = words
    for step_id, begun in shards.items():
        waiting = f", {len(begun) - sum(begun)} wait" if not all(begun) else ""
        found[step_id] = f"running: {sum(begun)} shards run{waiting} (logs: logs/slurm/{step_id}.shard-*.out)"
    return found
