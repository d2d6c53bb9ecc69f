"""The pretended Kubernetes of `kubeserver.py`, as tests see it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from helpers.running import wait_until

from coordinator.runners.docker import SOURCES, DockerRunner, image_name
from coordinator.runners.kubernetes.profile import KubernetesProfile, Volume
from coordinator.tools.finding import Tool


class PretendedCluster:
    """A cluster with one claim, `studies`.

    Attributes:
        state: the server's folder of files.
        claim: the folder that the claim is.
        environment: variables with which the coordinator finds it.
    """

    def __init__(self, state: Path, claim: Path) -> None:
        self.state, self.claim = state, claim
        self.environment = {"KUBECONFIG": str(state / "kubeconfig"), "COORDINATOR_IMAGES": str(state / "images")}

    @property
    def profile(self) -> KubernetesProfile:
        """What a site would say of it; Jobs are looked at often, since steps of tests are short."""
        volume = Volume(path=str(self.claim), claim="studies")
        return KubernetesProfile(namespace="lab", poll_seconds=1, latency_seconds=5, max_jobs=3, volumes=(volume,))

    @property
    def site(self) -> str:
        """The profile as a file."""
        return yaml.safe_dump({"kubernetes": self.profile.model_dump(mode="json", exclude_unset=True)})

    def add_images(self, tools: Sequence[Tool]) -> None:
        """Note images of the engine as those that a registry has."""
        (self.state / "images").mkdir(exist_ok=True)
        for tool in tools:
            image = DockerRunner().client.images.get(image_name(tool))
            known = {"name": f"registry.test/lab/{tool.name}@{image.id}", "sources": image.labels[SOURCES]}
            (self.state / "images" / f"{tool.name}.json").write_text(json.dumps(known))

    def set(self, flag: str, on: bool = True) -> None:
        """Make or remove one of the files that change what the server does."""
        (self.state / flag).touch() if on else (self.state / flag).unlink(missing_ok=True)

    def journal(self) -> list[list[str]]:
        """Name, step, fingerprint and allowance of each Job that was ever made."""
        file = self.state / "journal"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def pretended_cluster(state: Path, claim: Path) -> Iterator[PretendedCluster]:
    """Start the cluster, in a program of its own; its containers end with it."""
    program = Path(__file__).with_name("kubeserver.py")
    server = subprocess.Popen([sys.executable, program, state, f"studies={claim}"])
    try:
        wait_until((state / "address").exists, 30)
        address = json.loads((state / "address").read_text()).rstrip("/")
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": address}}],
            "users": [{"name": "tests", "user": {"token": "secret"}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }  # fmt: skip
        (state / "kubeconfig").write_text(yaml.safe_dump(config))
        yield PretendedCluster(state, claim)
    finally:
        server.terminate()
        server.wait()
        pods = subprocess.run(
            ["docker", "ps", "--all", "--quiet", f"--filter=label=cluster={state}"],
            capture_output=True,
            text=True,
            check=True,
        )
        if pods.stdout:
            subprocess.run(["docker", "rm", "--force", *pods.stdout.split()], check=False, stdout=subprocess.DEVNULL)
