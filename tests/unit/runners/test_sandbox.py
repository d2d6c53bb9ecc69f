"""A container may fill neither the machine's memory through /tmp nor its table of processes."""

from pathlib import Path

import pytest

from contract.manifest import Resources
from coordinator.runners.engines import Engine
from coordinator.runners.sandbox import Sandbox
from coordinator.tools.finding import find_tools

TOOLS = find_tools(Path(__file__).resolve().parents[3] / "containers")


def test_the_scratch_folder_and_the_number_of_processes_are_bounded():
    sandbox = Sandbox("image", Engine(), tmp_mb=300, processes=77)

    settings = sandbox.container_settings(("describe",))

    assert settings["tmpfs"] == {"/tmp": "exec,mode=1777,size=300m"}  # noqa: S108
    assert settings["pids_limit"] == 77


def test_the_printed_line_has_the_same_bounds():
    line = Sandbox("image", Engine(), tmp_mb=300, processes=77).command_line(("describe",))

    assert " --tmpfs /tmp:exec,mode=1777,size=300m " in line
    assert " --pids-limit 77 " in line


def test_an_image_of_which_nothing_is_known_is_bounded_as_a_manifest_without_resources():
    settings, usual = Sandbox("image", Engine()).container_settings(()), Resources()

    assert settings["pids_limit"] == usual.processes == 1024
    assert settings["tmpfs"] == {"/tmp": f"exec,mode=1777,size={usual.tmp_mb}m"}  # noqa: S108


@pytest.mark.parametrize("name", TOOLS)
def test_what_a_tool_may_hold_in_memory_beside_its_arrays_fits_into_its_memory(name: str):
    resources = TOOLS[name].manifest.resources

    assert resources.tmp_mb + resources.shm_mb <= resources.memory_gb * 1000


def test_workers_of_augmentation_fit_into_the_bound_of_processes():
    nnunet = TOOLS["nnunet"].manifest
    workers = nnunet.options["augmentation-workers"].maximum or 0

    # Half as many again for the validation batches; each has a thread for each core of a large machine.
    assert 1.5 * workers * 64 <= nnunet.resources.processes
