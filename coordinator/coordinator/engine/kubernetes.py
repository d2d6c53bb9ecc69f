"""Kubernetes as a place of a study: tools are Jobs of a cluster, and the steps between them are done here.

Each step with a tool is a process here that waits for its Job, by the runner `kubernetes`; so this machine, which may
be a pod of the cluster, must see the same volumes as the nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from contract import atomic
from contract.errors import Stopped, UsageError
from coordinator.engine.locks import stop_users
from coordinator.engine.places import memory_mb
from coordinator.engine.run_tool import make_invocation
from coordinator.runners.cluster import Allowance
from coordinator.runners.kubernetes.cluster import (
    Cluster,
    NoAnswerError,
    Object,
    RefusedError,
    advise,
    check_access,
    connect,
)
from coordinator.runners.kubernetes.ends import describe_wait, find_end
from coordinator.runners.kubernetes.images import require_pushed
from coordinator.runners.kubernetes.manifests import RUN, STEP, make_job, network_policy
from coordinator.runners.kubernetes.profile import KubernetesProfile
from coordinator.runners.kubernetes.settings import FOLDER, NAME, Settings, read_settings
from coordinator.runners.kubernetes.volumes import locate
from coordinator.study.steps import Plan, Step, part_folder, state_files

POLICY = "network-policy.yaml"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Tools are Jobs of a Kubernetes cluster.

    Attributes:
        profile: of the site.
        minutes: step -> how long it is estimated to take.
        cores: CPU cores of this machine for the steps without a tool.
        retries: how often a failed step is tried again.
        file: of the site profile; None where there is none.
    """

    profile: KubernetesProfile
    minutes: Mapping[str, float]
    cores: int
    retries: int
    file: Path | None = None

    def prepare(self, run: Path, plan: Plan) -> None:
        """Note the settings for the steps.

        Raises:
            UsageError: a folder of the study is in no volume of the cluster, or the cluster can't be asked.
        """
        self._refuse_unseen(run, plan)
        settings = Settings(run, self.profile, self.minutes)
        check_access(connect(self.profile), {RUN: settings.run_id})
        settings.write()

    def describe(self) -> str:
        """The site profile, which the user may have meant to be another one."""
        return f", as Jobs of Kubernetes (site profile {self.file})"

    def engine_options(self) -> list[str]:
        """The cluster shares out its nodes; here the number of Jobs counts, and what steps without a tool need."""
        jobs = self.profile.max_jobs
        return [
            "--cores", str(self.cores + jobs), "--resources", f"core={self.cores}", f"mem_mb={memory_mb()}",
            "--config", "tools_elsewhere=1", "--retries", str(self.retries), "--latency-wait", "0",
        ]  # fmt: skip

    def stop(self, run: Path, *, asked: bool) -> None:
        """Delete the Jobs of the steps that run where somebody asked for an end; otherwise they go on."""
        if asked:
            stop_users(state_files(run, ".lock"))  # each deletes its own
            raise Stopped("interrupted; the Jobs that ran are deleted; the next run goes on from here")

    def write_manifests(self, run: Path, plan: Plan, steps: list[Step]) -> Path:
        """Write the Jobs of steps with a tool, and a policy that cuts off their network; returns their folder.

        Raises:
            UsageError: a folder of the study is in no volume of the cluster, or a tool's image was not pushed.
        """
        self._refuse_unseen(run, plan)
        folder, settings = run / FOLDER / "manifests", Settings(run, self.profile, self.minutes)
        manifests = {POLICY: network_policy()}
        for step in (step for step in steps if step.tool):
            invocation = make_invocation(run, plan, step, part_folder(run, step) / "out")
            image = require_pushed(invocation.tool).name
            manifests[f"{step.id}.yaml"] = make_job(invocation, image, settings, Allowance(), planned=True)
        for name, manifest in manifests.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            atomic.write_text(folder / name, yaml.safe_dump(manifest, sort_keys=False, width=120))
        return folder

    def _refuse_unseen(self, run: Path, plan: Plan) -> None:
        for path in (run, Path(plan.data), *([Path(plan.weights)] if plan.weights else [])):
            locate(path, self.profile.volumes)


def describe_jobs(run: Path) -> dict[str, str]:
    """Step -> words for its Job, such as "running: on node-7 (Job lq-…)".

    Raises:
        NoAnswerError: the cluster can't be asked now.
    """
    cluster, labels = _connect(run)
    pods = cluster.list_pods(labels)
    found = {}
    for job in _list_live(cluster, labels):
        name = job["metadata"]["name"]
        own = [pod for pod in pods if pod["metadata"]["labels"].get("job-name") == name]
        wait = describe_wait(job, own)
        state = f"running: on {wait.node}" if wait.words == "runs" else f"waiting: {wait.words}"
        found[_step(job)] = f"{state} (Job {name})"
    return found


def delete_jobs(run: Path) -> list[str]:
    """Delete all Jobs of a run folder that go on; returns their names.

    Raises:
        UsageError: the cluster does not answer, or refuses, so that some may go on.
    """
    try:
        cluster, labels = _connect(run)
        names = [job["metadata"]["name"] for job in _list_live(cluster, labels)]
        for name in names:
            cluster.delete_job(name)
    except (NoAnswerError, RefusedError) as error:
        raise UsageError(
            f"{run}: its Jobs on Kubernetes must be listed and deleted, but: {error}; they may go on: {advise(error)}, "
            "then cancel again"
        ) from None
    return names


def refuse_live_jobs(run: Path) -> None:
    """Refuse to do steps elsewhere while Jobs of a run folder go on.

    Raises:
        UsageError: there are some, or the cluster can't be asked.
    """
    try:
        cluster, labels = _connect(run)
    except UsageError:  # no cluster is known here, as where the run folder was copied
        return
    try:
        live = len(_list_live(cluster, labels))
    except (NoAnswerError, RefusedError) as error:
        reason = f"they can't be listed: {error} ({advise(error)})"
    else:
        reason = f"{live} go on" if live else ""
    if reason:
        raise UsageError(
            f"{run}: its Jobs on Kubernetes must have ended before its steps are done here, but {reason}; collect them "
            f"with --place {NAME}, or delete them with `coordinator cancel`"
        )


def _connect(run: Path) -> tuple[Cluster, dict[str, str]]:
    """The cluster of a run folder, and the labels of its Jobs."""
    settings = read_settings(run)
    return connect(settings.profile), {RUN: settings.run_id}


def _list_live(cluster: Cluster, labels: Mapping[str, str]) -> list[Object]:
    return [job for job in cluster.list_jobs(labels) if find_end(job, []) is None]


def _step(job: Object) -> str:
    return str(job["metadata"]["annotations"][STEP])
