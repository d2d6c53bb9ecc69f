"""What a tool may read, and its thread variables."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.running import make_invocation

from contract.errors import UsageError
from coordinator.runners.view import readable_paths, thread_environment
from coordinator.tools.finding import Tool


def test_what_is_missing_is_named(probe: Tool, tiny: Path, tmp_path: Path):
    invocation = replace(make_invocation(probe, tiny, tmp_path / "run"), weights=tmp_path / "none")

    with pytest.raises(UsageError, match=f"{tmp_path}/none: file or folder must exist, but does not"):
        readable_paths(invocation)


def test_a_foreign_image_sees_its_own_weights_alone(probe: Tool, tiny: Path, tmp_path: Path):
    (tmp_path / "weights/medsam").mkdir(parents=True)
    (tmp_path / "weights/probe").mkdir()
    ours = replace(make_invocation(probe, tiny, tmp_path / "run"), weights=tmp_path / "weights")
    foreign = replace(ours, is_foreign=True)

    shown = {path: source for path, source in readable_paths(foreign).items() if path.startswith("/weights")}
    (tmp_path / "weights/probe").rmdir()

    assert shown == {"/weights/probe": tmp_path / "weights/probe"}
    assert not any(path.startswith("/weights") for path in readable_paths(foreign))
    assert readable_paths(ours)["/weights"] == tmp_path / "weights"


def test_links_are_shown_as_what_they_point_to(probe: Tool, tiny: Path, tmp_path: Path):
    images = tmp_path / "tiny/images"
    images.mkdir(parents=True)
    (tmp_path / "tiny/dataset.yaml").write_text("name: tiny\n")
    (images / "a.nii.gz").symlink_to(tiny / "tiny/images/a.nii.gz")

    paths = readable_paths(make_invocation(probe, tmp_path, tmp_path / "run"))

    assert paths["/data/tiny/images/a.nii.gz"] == (tiny / "tiny/images/a.nii.gz").resolve()
    assert "/data/tiny/images" not in paths


def test_a_case_that_was_set_aside_is_not_shown(probe: Tool, tiny: Path, tmp_path: Path):
    images = tmp_path / "tiny/images"
    images.mkdir(parents=True)
    (tmp_path / "tiny/dataset.yaml").write_text("name: tiny\n")
    for name in ("good", "truncated"):
        shutil.copy(tiny / "tiny/images/a.nii.gz", images / f"{name}.nii.gz")
    (images / "dangling.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    os.mkfifo(images / "pipe.nii.gz")
    invocation = replace(make_invocation(probe, tmp_path, tmp_path / "run"), cases=frozenset({"good"}))

    paths = readable_paths(invocation)

    assert paths["/data/tiny/images/good.nii.gz"] == images / "good.nii.gz"
    assert [path for path in paths if "images" in path] == ["/data/tiny/images/good.nii.gz"]


def test_a_folder_whose_cases_are_all_sound_is_shown_whole(probe: Tool, tiny: Path, tmp_path: Path):
    cases = frozenset(file.name.removesuffix(".nii.gz") for file in (tiny / "tiny/images").iterdir())

    paths = readable_paths(replace(make_invocation(probe, tiny, tmp_path / "run"), cases=cases))

    assert paths["/data/tiny/images"] == (tiny / "tiny/images").resolve()


@pytest.mark.parametrize(("arguments", "threads"), [((), "1"), (("--threads", "3"), "3"), (("--threads=4",), "4")])
def test_thread_variables_follow_the_thread_option(
    arguments: tuple[str, ...], threads: str, probe: Tool, tiny: Path, tmp_path: Path
):
    variables = thread_environment(make_invocation(probe, tiny, tmp_path / "run", *arguments))

    assert variables == {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
