"""What the state of a Job and of its pods means: it goes on, why it waits, or how it ended."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from coordinator.runners.cluster import Cause
from coordinator.runners.kubernetes.cluster import Object

NEVER_STARTS = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable", "CreateContainerConfigError", "CreateContainerError",
})  # fmt: skip
"""Why a container waits where somebody must do something; for a while only, since a registry may restart."""


class End(NamedTuple):
    """How a Job ended.

    Attributes:
        code: the tool's exit code, as a shell gives it; 1 where nobody knows it.
        cause: why it ended early; None where the tool ended by itself.
        words: for people; empty where it ended well.
        node: on which it ran; empty where nobody knows.
    """

    code: int
    cause: Cause | None = None
    words: str = ""
    node: str = ""


class Wait(NamedTuple):
    """Why a Job has not started, or that it runs.

    Attributes:
        words: for people.
        is_stuck: whether it will not start by itself.
        node: on which it runs; empty where it does not.
    """

    words: str
    is_stuck: bool = False
    node: str = ""


def find_end(job: Object, pods: Sequence[Object]) -> End | None:
    """How a Job ended; None while it goes on."""
    conditions = {each["type"]: each for each in _status(job).get("conditions") or [] if each.get("status") == "True"}
    pod = newest(pods)
    if "Complete" in conditions:
        return End(0, node=_node(pod))
    if "Failed" not in conditions:
        return None
    status, terminated = _status(pod), _terminated(pod)
    failed = conditions["Failed"]
    code, node = int(terminated.get("exitCode", 1)) or 1, _node(pod)
    if "DeadlineExceeded" in (status.get("reason"), failed.get("reason")):
        return End(code, Cause.TIME, "it ran past its time limit", node)
    if terminated.get("reason") == "OOMKilled":
        return End(code, Cause.MEMORY, "it needed more memory than its limit", node)
    if any(each["type"] == "DisruptionTarget" for each in status.get("conditions") or []):
        return End(code, Cause.NODE, _words(status, "its node failed, or it had to make room"), node)
    if terminated and not status.get("reason"):
        return End(code, None, f"exit code {code}", node)
    return End(code, None, _words(status, _words(failed, "nobody knows why")), node)


def describe_wait(job: Object, pods: Sequence[Object]) -> Wait:
    """Why a Job that goes on has not started, or on which node it runs."""
    if job["spec"].get("suspend"):
        return Wait("is suspended, as a queue does until there is room")
    pod = newest(pods)
    if pod is None:
        return Wait("has no pod yet")
    if job["metadata"].get("deletionTimestamp"):
        return Wait("is being deleted", node=_node(pod))
    for container in _status(pod).get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in NEVER_STARTS:
            return Wait(_words(waiting, ""), is_stuck=True, node=_node(pod))
    for condition in _status(pod).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("status") == "False":
            words = _words(condition, "no node has room")
            return Wait(words, is_stuck="persistentvolumeclaim" in words and "not found" in words)
    if _status(pod).get("phase") == "Running":
        return Wait("runs", node=_node(pod))
    return Wait("starts", node=_node(pod))


def newest(pods: Sequence[Object]) -> Object | None:
    """The pod that was made last: a Job may have had several, one after the other."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def _terminated(pod: Object | None) -> dict[str, Any]:
    statuses = _status(pod).get("containerStatuses") or [{}]
    return statuses[0].get("state", {}).get("terminated") or {}


def _status(thing: Object | None) -> dict[str, Any]:
    return (thing or {}).get("status") or {}


def _node(pod: Object | None) -> str:
    return str((pod or {}).get("spec", {}).get("nodeName") or "")


def _words(thing: dict[str, Any], otherwise: str) -> str:
    """A reason and a message as Kubernetes gives them, in one line."""
    words = ": ".join(str(thing[key]) for key in ("reason", "message") if thing.get(key))
    return " ".join(words.split())[:500] or otherwise
