"""What a user reads whose kubeconfig is wrong, or whose API server refuses or is not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from helpers.running import make_invocation
from helpers.servers import run_server

from contract.errors import UsageError
from coordinator.engine.kubernetes import delete_jobs
from coordinator.runners.kubernetes.cluster import check_access, connect
from coordinator.runners.kubernetes.profile import KubernetesProfile, Volume
from coordinator.runners.kubernetes.runner import KubernetesRunner
from coordinator.runners.kubernetes.settings import Settings
from coordinator.runners.toolsources import image_digest
from coordinator.tools.finding import Tool

PROFILE = KubernetesProfile(namespace="lab")
ADVICE = {401: "log in again", 403: "ask its administrator for the rights", 404: "check the address", 503: "try again"}


@contextmanager
def serve(status: int) -> Iterator[str]:
    """Address of an API server that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"kind": "Status", "message": "no\nluck"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with run_server(Handler) as address:
        yield address


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's, which is not there yet."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return tmp_path / "kubeconfig"


def write_kubeconfig(file: Path, address: str) -> None:
    named = {"clusters": {"cluster": {"server": address}}, "users": {"user": {"token": "old"}}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    lists = {key: [{"name": "a", **value}] for key, value in named.items()}
    file.write_text(yaml.safe_dump({"current-context": "a", "contexts": [context], **lists}))


def test_a_kubeconfig_that_is_not_there_is_named(kubeconfig: Path):
    with pytest.raises(UsageError, match=f"^{kubeconfig}: must be the kubeconfig of your cluster, but is not there"):
        connect(PROFILE)


@pytest.mark.parametrize("content", ["", "{a: [", "[1, 2]", "a: 1"])
def test_a_damaged_kubeconfig_is_named_in_one_line(kubeconfig: Path, content: str):
    kubeconfig.write_text(content)

    with pytest.raises(UsageError, match=f"^{kubeconfig}: must be a kubeconfig that names a cluster, but: .*$") as told:
        connect(PROFILE)

    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("status", "advice"), ADVICE.items())
def test_a_server_that_refuses_is_named_with_what_to_do(kubeconfig: Path, tmp_path: Path, status: int, advice: str):
    Settings(tmp_path / "run", PROFILE, {}).write()

    with serve(status) as address:
        write_kubeconfig(kubeconfig, address)
        with pytest.raises(
            UsageError, match=rf"^Kubernetes at {address}: .* lab .*no luck \(status {status}\).*{advice}"
        ):
            check_access(connect(PROFILE), {})
        with pytest.raises(
            UsageError, match=rf"must be listed and deleted, but: no luck \(status {status}\).*{advice}"
        ):
            delete_jobs(tmp_path / "run")


def test_a_server_that_is_not_there_is_named_with_what_to_check(kubeconfig: Path):
    with serve(200) as address:
        write_kubeconfig(kubeconfig, address)

    with pytest.raises(UsageError, match=f"^Kubernetes at {address}: .*refused; check the address in the kubeconfig"):
        check_access(connect(PROFILE), {})


def test_a_step_whose_job_may_not_be_looked_at_fails_in_one_line(
    kubeconfig: Path, probe: Tool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COORDINATOR_IMAGES", str(tmp_path))
    pushed = {"name": f"registry.lab/probe@sha256:{64 * '0'}", "sources": image_digest(probe)}
    (tmp_path / "probe.json").write_text(json.dumps(pushed))
    volume = Volume(path=str(tmp_path.parent), claim="studies")
    settings = Settings(tmp_path / "run", KubernetesProfile(namespace="lab", volumes=(volume,)), {})

    with serve(403) as address:
        write_kubeconfig(kubeconfig, address)
        with pytest.raises(
            UsageError, match=r"^Kubernetes must let its Job be looked at .*\(status 403\); name your own"
        ):
            KubernetesRunner(settings).run(make_invocation(probe, tiny, tmp_path / "run"))
