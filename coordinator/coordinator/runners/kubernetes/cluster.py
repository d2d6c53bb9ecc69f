"""The API server of a Kubernetes cluster: each question is one request, which may fail while the server restarts.

Nothing here is kept in memory: what runs is asked of the server. Objects are those that it sends, as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException, OpenApiException
from kubernetes.config.config_exception import ConfigException
from pydantic import ValidationError
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from contract.errors import UsageError
from coordinator.runners.kubernetes.profile import KubernetesProfile

REQUEST_S = 60
"""A request that takes longer counts as one without an answer."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two attempts to get an answer."""
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TRANSIENT = frozenset({401, 408, 409, 425, 429})
"""Status codes below 500 after which the same request may be answered; 401 while a token is renewed."""

Object = dict[str, Any]
Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """The server did not answer: whatever was asked may have happened or not."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(Exception):
    """The server answered that it will not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster.

    Attributes:
        namespace: name.
        batch: API of Jobs.
        core: API of pods.
    """

    namespace: str
    batch: client.BatchV1Api
    core: client.CoreV1Api

    @property
    def address(self) -> str:
        """Where the API server is."""
        return str(self.batch.api_client.configuration.host)

    def create_job(self, manifest: Object) -> Object:
        """Make a Job; `RefusedError` with status 409 where one of its name is there."""
        created: Object = self._request(self.batch.create_namespaced_job, manifest)
        return created

    def read_job(self, name: str) -> Object | None:
        """A Job; None where there is none."""
        try:
            job: Object = self._request(self.batch.read_namespaced_job, name=name)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        return job

    def delete_job(self, name: str) -> None:
        """Delete a Job, whose pods end first; nothing where there is none."""
        try:
            self._request(self.batch.delete_namespaced_job, name=name, propagation_policy="Foreground")
        except RefusedError as error:
            if error.status != 404:
                raise

    def list_jobs(self, labels: Mapping[str, str]) -> list[Object]:
        """The Jobs that have labels."""
        return self._list(self.batch.list_namespaced_job, labels)

    def list_pods(self, labels: Mapping[str, str]) -> list[Object]:
        """The pods that have labels."""
        return self._list(self.core.list_namespaced_pod, labels)

    def read_output(self, pod: str, container: str, since_seconds: int | None) -> bytes:
        """What a container printed, each line with its time before it; nothing where it has not started.

        Args:
            pod: its name.
            container: of the pod.
            since_seconds: only lines that are not older; None for all.
        """
        more = {"since_seconds": since_seconds} if since_seconds is not None else {}
        try:
            return self._ask(self.core.read_namespaced_pod_log, name=pod, container=container, timestamps=True, **more)
        except RefusedError:  # it has not started, or is gone
            return b""

    def _list(self, function: Callable[..., Any], labels: Mapping[str, str]) -> list[Object]:
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        items: list[Object] = self._request(function, label_selector=selector)["items"]
        return [item for item in items if labels.items() <= (item["metadata"].get("labels") or {}).items()]

    def _request(self, function: Callable[..., Any], *arguments: Object, **options: Any) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._ask(function, *arguments, **options))

    def _ask(self, function: Callable[..., Any], *arguments: Object, **options: Any) -> bytes:  # noqa: ANN401
        """Send a request and return the answer's bytes.

        Raises:
            NoAnswerError: there is no answer now.
            RefusedError: the server refuses.
        """
        options |= {"namespace": self.namespace, "_preload_content": False, "_request_timeout": REQUEST_S}
        try:
            return bytes(function(**({"body": arguments[0]} if arguments else {}), **options).data)
        except ApiException as error:
            message = _read_message(error)
            is_taken = error.status == 409 and bool(arguments)
            if error.status is None or error.status >= 500 or (error.status in _TRANSIENT and not is_taken):
                raise NoAnswerError(message, error.status) from None
            raise RefusedError(error.status, message) from None
        except (ValidationError, OpenApiException) as error:  # the library knows what the server would refuse
            raise RefusedError(422, " ".join(str(error).split())) from None
        except (HTTPError, OSError) as error:
            raise NoAnswerError(str(error) or type(error).__name__) from None


def connect(profile: KubernetesProfile) -> Cluster:
    """The namespace of a site profile, by the user's kubeconfig, or by the service account of a pod that this runs in.

    Raises:
        UsageError: there is neither, or it can't be read.
    """
    settings = client.Configuration()
    namespace = profile.namespace
    try:
        with redirect_stdout(sys.stderr):  # the library prints where it looked
            if "KUBERNETES_SERVICE_HOST" in os.environ and not _has_kubeconfig():
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
                namespace = namespace or _read_own_namespace()
            else:
                namespace = _load_kubeconfig(settings, profile.context, namespace)
    except (ConfigException, OpenApiException, OSError, ValueError, KeyError, TypeError, YAMLError) as error:
        raise UsageError(_describe_kubeconfig(error)) from None
    settings.retries = False
    api = client.ApiClient(settings)
    return Cluster(namespace or "default", client.BatchV1Api(api), client.CoreV1Api(api))


def check_access(cluster: Cluster, labels: Mapping[str, str]) -> None:
    """Refuse a cluster on which our Jobs can't be looked at, before anything is submitted.

    Raises:
        UsageError: the server does not answer, or refuses.
    """
    try:
        cluster.list_jobs(labels)
        cluster.list_pods(labels)
    except (NoAnswerError, RefusedError) as error:
        raise UsageError(
            f"Kubernetes at {cluster.address}: Jobs and pods of the namespace {cluster.namespace} must be listed, but: "
            f"{error}; {advise(error)}"
        ) from None


def advise(error: NoAnswerError | RefusedError) -> str:
    """What a user can do where the server does not answer, or refuses."""
    match error.status:
        case 401:
            return "log in again, since the kubeconfig's token is missing or has expired"
        case 403:
            return (
                "name your own namespace in the site profile, or ask its administrator for the rights that "
                "docs/how-to/kubernetes.md lists"
            )
        case None:
            return "check the address in the kubeconfig, and whether this machine reaches it, as with `kubectl version`"
        case status if status >= 500:
            return "try again later"
        case _:
            return "check the address in the kubeconfig, and the site profile"


def insist(ask: Callable[[], Answer], say: Callable[[str], None]) -> Answer:
    """Ask until there is an answer, with longer and longer pauses."""
    for pause in pauses():
        try:
            return ask()
        except NoAnswerError as error:
            say(f"Kubernetes gave no answer and is asked again: {error}")
        time.sleep(pause)
    raise AssertionError  # the pauses have no end


def pauses(first: float = FIRST_PAUSE_S, longest: float = LONGEST_PAUSE_S) -> Iterator[float]:
    """Longer and longer pauses in seconds, without end."""
    pause = min(first, longest)
    while True:
        yield pause
        pause = min(longest, pause * 1.5)


def _read_message(error: ApiException) -> str:
    """What the server said, in one line."""
    try:
        message = str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        message = str(error.reason or error.body or type(error).__name__)
    return f"{' '.join(message.split())[:1000]} (status {error.status})"


def _describe_kubeconfig(error: Exception) -> str:
    """Why no cluster is known, in one line."""
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    files = [Path(file) for file in named.split(os.pathsep) if file]
    if not any(file.is_file() for file in files):
        return (
            f"{named}: must be the kubeconfig of your cluster, but is not there; get it from the administrator, and "
            "put it there or set KUBECONFIG"
        )
    return (
        f"{named}: must be a kubeconfig that names a cluster, but: {' '.join(str(error).split())}; correct it, or "
        "`kubernetes: context` of the site profile"
    )


def _has_kubeconfig() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or (Path.home() / ".kube/config").is_file()


def _read_own_namespace() -> str:
    return IN_CLUSTER_NAMESPACE.read_text(encoding="utf-8").strip()


def _load_kubeconfig(settings: client.Configuration, context: str | None, namespace: str | None) -> str | None:
    """Fill in settings from the user's kubeconfig; returns the namespace, of the context where none was named."""
    file = os.environ.get("KUBECONFIG") or None  # the library would keep the one of its import
    config.load_kube_config(file, context, settings)  # type: ignore[no-untyped-call]
    contexts, active = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    chosen = next((each for each in contexts if each["name"] == context), active)
    return namespace or chosen["context"].get("namespace")
