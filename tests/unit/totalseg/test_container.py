"""The tool's image: locked down and without a network, with stand-in weights mounted."""

from pathlib import Path

import docker
import nibabel as nib
import numpy as np
import pytest

from contract.datasets import Dataset
from coordinator.runners import Invocation
from coordinator.runners.docker import DockerRunner
from coordinator.tools.finding import find_tool

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.docker
@pytest.mark.venvs
def test_a_container_without_network_gives_the_same_labels(
    engine: docker.DockerClient, base_image: str, standins: Path, patient: Dataset, results_6mm, tmp_path: Path
):
    runner = DockerRunner(base_image)
    tool = find_tool("totalseg", ROOT / "containers")
    runner.build(tool)
    given = Invocation(
        name=f"lq-test-totalseg-{tmp_path.name}", fingerprint="f1", tool=tool, dataset="patient", shows_labels=False,
        arguments=("--dataset", "patient", "--variant", "6mm", "--cases", "las,oblique"),
        data=patient.folder.parent, out=tmp_path / "out", log=tmp_path / "log.txt", weights=standins,
    )  # fmt: skip

    code = runner.run(given)
    runner.client.close()

    log = given.log.read_text(encoding="utf-8")
    assert code == 0, log
    assert "--network none" in log
    for case in ("las", "oblique"):
        found = nib.load(given.out / "patient" / "totalseg-6mm" / f"{case}.nii.gz")
        expected = nib.load(results_6mm.folder / f"{case}.nii.gz")
        np.testing.assert_array_equal(found.dataobj, expected.dataobj)
        np.testing.assert_array_equal(found.affine, expected.affine)
