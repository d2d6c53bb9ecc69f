"""Runs tools as Jobs of a Kubernetes cluster, and waits for them; a Job goes on when whoever waits is killed.

A Job is found again by its name, and says of itself for which step it is. One that has ended is the step's result only
if the folder in which it worked still notes that it waits for this Job; then nothing of it was published yet.
"""

import json
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from contract import atomic, statefiles
from contract.errors import ExitCode, UsageError
from coordinator.runners import Invocation
from coordinator.runners.cluster import Allowance, parse_allowance
from coordinator.runners.kubernetes.cluster import (
    Cluster,
    NoAnswerError,
    Object,
    RefusedError,
    advise,
    connect,
    insist,
    pauses,
)
from coordinator.runners.kubernetes.ends import End, describe_wait, find_end, newest
from coordinator.runners.kubernetes.images import require_pushed
from coordinator.runners.kubernetes.manifests import LOG_START, SELF, make_job, name_job
from coordinator.runners.kubernetes.output import Output
from coordinator.runners.kubernetes.settings import NAME, Settings
from coordinator.runners.stopping import GRACE_S, raise_on_sigterm
from coordinator.tools.finding import Tool

JOB = "job.json"
"""Beside the folder of results: which Job worked there last."""
FIRST_LOOK_S = 1.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class KubernetesRunner:
    """Runs each tool in a pod of its own image.

    Attributes:
        settings: of the run folder; without them, it only knows which image a tool is.
    """

    settings: Settings | None = None

    @property
    def runtime(self) -> str:
        """The runner's name in plans."""
        return NAME

    @property
    def uses_this_machine(self) -> bool:
        """Tools run on the cluster's nodes."""
        return False

    def code_id(self, tool: Tool) -> str:
        """The digest of the tool's image in its registry.

        Raises:
            UsageError: it was not pushed, or is of other sources than the tool's folder now holds.
        """
        if tool.added is not None:
            raise UsageError(f"image {tool.added.image}: needs the runtime docker, since it is checked there; use it")
        return require_pushed(tool).digest

    def build(self, tool: Tool) -> None:
        """Refuse: an image is pushed to a registry that nodes reach.

        Raises:
            UsageError: always; the message says how.
        """
        raise UsageError(f"{tool.name}: is pushed, not built, for Kubernetes: `coordinator tool push REGISTRY`")

    def run(self, invocation: Invocation) -> int:
        """Run a tool to its end, or take over the Job of the same step; return its exit code.

        Raises:
            UsageError: the image was not pushed, its Job can't be made or can't start, or was deleted by somebody.
        """
        if self.settings is None:
            raise ValueError("a tool can be run only with the settings of a run folder")
        image = require_pushed(invocation.tool).name
        invocation.out.mkdir(parents=True, exist_ok=True)
        cluster = connect(self.settings.profile)
        try:
            with raise_on_sigterm():
                return _StepJob(cluster, invocation, image, self.settings).run()
        except RefusedError as error:
            raise UsageError(
                f"Kubernetes must let its Job be looked at and deleted, but: {error}; {advise(error)}"
            ) from None


@dataclass(slots=True)
class _StepJob:
    """The Job of a step: made, taken over, watched, and made again with more time or memory."""

    cluster: Cluster
    invocation: Invocation
    image: str
    settings: Settings
    name: str = ""
    told: set[str] = field(default_factory=set)

    def run(self) -> int:
        self.name = name_job(self.invocation, self.settings)
        allowance, job = self._find()
        while True:
            if job is None:
                job = self._create(allowance)
            try:
                end = self._wait(job)
            except BaseException:
                self._remove(within_s=2 * GRACE_S)
                raise
            more = allowance.after(end.cause) if end.cause else None
            if more is None:
                break
            self._say(f"Job {self.name} ended, since {end.words}; it is made again with {more}")
            self._remove()
            allowance, job = more, None
        if end.words:
            self._log(f"Job {self.name}{f' on {end.node}' if end.node else ''} ended: {end.words}")
        if end.code in {ExitCode.DONE, ExitCode.CASES_FAILED}:
            self._wait_for_files()
        else:
            self._note.unlink(missing_ok=True)
        return end.code

    @property
    def _note(self) -> Path:
        return self.invocation.out.with_name(JOB)

    def _find(self) -> tuple[Allowance, Object | None]:
        """The Job of this step that goes on, or whose results nobody has taken; any other of its name is removed."""
        job = self._insist(lambda: self.cluster.read_job(self.name))
        if job is None:
            return Allowance(), None
        fingerprint, allowance = parse_allowance(_annotation(job, SELF))
        noted = statefiles.read(self._note, lambda content: json.loads(content)["uid"], say=lambda line: None)
        has_ended = find_end(job, []) is not None
        is_ours = fingerprint == self.invocation.fingerprint and not job["metadata"].get("deletionTimestamp")
        if is_ours and (not has_ended or noted == job["metadata"].get("uid")):
            self._say(f"Job {self.name} goes on")
            self._take_note(job)
            return allowance, job
        self._remove()
        return Allowance(), None

    def _create(self, allowance: Allowance) -> Object:
        command = shlex.join([self.image, *self.invocation.arguments])
        self._log(f"Job {self.name} in namespace {self.cluster.namespace}: {command}")
        manifest = make_job(self.invocation, self.image, self.settings, allowance)

        def create() -> Object:
            try:
                return self.cluster.create_job(manifest)
            except RefusedError as error:
                found = self.cluster.read_job(self.name) if error.status == 409 else None
                if found is None or _annotation(found, SELF) != manifest["metadata"]["annotations"][SELF]:
                    raise UsageError(
                        f"Kubernetes must take its Job {self.name}, but: {error}; correct the site profile"
                    ) from None
                return found  # an answer had been lost

        job = self._insist(create)
        self._take_note(job)
        return job

    def _take_note(self, job: Object) -> None:
        atomic.write_json(self._note, {"uid": job["metadata"].get("uid"), "name": self.name})

    def _wait(self, job: Object) -> End:
        """Wait for a Job's end, and append its output to the log meanwhile."""
        output = Output(self.invocation.log, self._written(job))
        stuck_since: float | None = None

        def look() -> tuple[Object | None, list[Object]]:
            current = self.cluster.read_job(self.name)
            pods = self.cluster.list_pods({"job-name": self.name})
            output.follow(self.cluster, newest(pods))
            return current, pods

        for pause in pauses(FIRST_LOOK_S, self.settings.profile.poll_seconds):
            current, pods = self._insist(look)
            if current is None:
                raise UsageError(
                    f"Job {self.name} must stay until it has ended, but somebody deleted it; run the study again"
                )
            if (end := find_end(current, pods)) is not None:
                return end
            wait = describe_wait(current, pods)
            self._say(f"Job {self.name} {wait.words}{f' on {wait.node}' if wait.node else ''}")
            stuck_since = (stuck_since or time.monotonic()) if wait.is_stuck else None
            if stuck_since and time.monotonic() - stuck_since > 60 * self.settings.profile.start_minutes:
                raise UsageError(
                    f"its pod must start, but does not: {wait.words}; correct the site profile, or push the image again"
                )
            time.sleep(pause)
        raise AssertionError  # the pauses have no end

    def _written(self, job: Object) -> int:
        """How many bytes of a Job's output the log has."""
        log, start = self.invocation.log, int(_annotation(job, LOG_START) or 0)
        return max(0, log.stat().st_size - start) if log.is_file() else 0

    def _wait_for_files(self) -> None:
        """Wait until the results that a node wrote are seen here: a network file system may take a while."""
        end = time.monotonic() + self.settings.profile.latency_seconds
        while not any(self.invocation.out.glob("*/*/run.json")) and time.monotonic() < end:
            time.sleep(0.5)

    def _remove(self, within_s: float = float("inf")) -> None:
        """Delete the Job, and wait until its pods have ended."""
        end = time.monotonic() + within_s
        for pause in pauses():
            try:
                self.cluster.delete_job(self.name)
                if self.cluster.read_job(self.name) is None:
                    return
            except NoAnswerError as error:
                self._say(f"Kubernetes gave no answer and is asked again: {error}")
            if time.monotonic() + pause > end:
                self._say(f"Job {self.name} may go on; `coordinator cancel` deletes it")
                return
            time.sleep(pause)

    def _insist(self, ask: Callable[[], Answer]) -> Answer:
        return insist(ask, self._say)

    def _say(self, line: str) -> None:
        """Tell what a user should know, once; under the workflow engine this goes to `snakemake.log`."""
        if line not in self.told:
            self.told.add(line)
            sys.stderr.write(f"{self.invocation.step}: {line}\n")

    def _log(self, line: str) -> None:
        with self.invocation.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def _annotation(job: Object, name: str) -> str:
    return str((job["metadata"].get("annotations") or {}).get(name, ""))
