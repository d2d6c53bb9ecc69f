"""A pretended cluster whose claim is the folder of all temporary files of a test run."""

from collections.abc import Iterator

import docker
import pytest
from helpers.kubecluster import PretendedCluster, pretended_cluster

from coordinator.runners.docker import DockerRunner
from coordinator.tools.finding import Tool


@pytest.fixture(scope="session")
def built(probe: Tool, engine: docker.DockerClient, base_image: str) -> Tool:
    """The probe with its image."""
    DockerRunner(base_image).build(probe)
    return probe


@pytest.fixture
def cluster(
    built: Tool, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PretendedCluster]:
    """A cluster whose registry has the probe."""
    state = tmp_path_factory.mktemp("cluster")
    with pretended_cluster(state, tmp_path_factory.getbasetemp()) as cluster:
        cluster.add_images([built])
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        yield cluster
