"""A foreign image: built by a recipe of its own, without our contract library; checked, used by digest, changed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import nibabel as nib
import numpy as np
import pytest
from helpers.studies import run_coordinator

from coordinator.datasets.anatomy import LABELS
from coordinator.datasets.phantom import make_phantom
from coordinator.runners.docker import DockerRunner
from coordinator.tools.finding import find_tool

pytestmark = pytest.mark.docker
STRANGER = Path(__file__).resolve().parents[1] / "foreign"
NAME = "label-quality-test/brightness"
TAG = f"{NAME}:1"
LOWEST_HU = 60
STUDY = """
name: foreign
data: data
datasets: [phantom]
generators:
  - {{name: mine, tool: "image:{image}", variant: v1, options: {{lowest-hu: 60}}}}
  - {{name: degraded-70, tool: degrade, options: {{target-dice: 0.7}}}}
run: {{runtime: {runtime}, threads: 1}}
"""


@dataclass(frozen=True)
class Project:
    """A folder with data, an added image, and a study that ran with it.

    Attributes:
        folder: of the project.
        base: image that the image is built on.
        image_id: of the image when it was added.
        added: `coordinator tool add`.
        done: `coordinator run`.
    """

    folder: Path
    base: str
    image_id: str
    added: "subprocess.CompletedProcess[str]"
    done: "subprocess.CompletedProcess[str]"

    @property
    def run(self) -> Path:
        return self.folder / "runs/foreign"

    def study(self, image: str, runtime: str = "auto") -> Path:
        """A study file with another name of the image."""
        file = self.folder / f"{runtime}.yaml"
        file.write_text(STUDY.format(image=image, runtime=runtime))
        return file


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, base_image: str
) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    DockerRunner(base_image).build(find_tool("degrade"))
    image, _ = engine.images.build(path=str(STRANGER), tag=TAG, buildargs={"BASE": base_image}, rm=True)
    make_phantom(folder / "data/phantom", cases=2, shape=(32, 28, 12))
    (folder / "data/phantom/remaps").mkdir()
    (folder / "data/phantom/remaps/brightness.yaml").write_text(json.dumps({
        "map": {"liver": ["bone"]},
        "unavailable": {organ: "is not bright" for organ in LABELS.values() if organ != "liver"},
    }))  # fmt: skip
    added = run_coordinator("tool", "add", TAG, "--tools", folder / "tools")
    (folder / "study.yaml").write_text(STUDY.format(image=f"{NAME}@{image.id}", runtime="auto"))
    done = run_coordinator("run", folder / "study.yaml")
    yield Project(folder, base_image, str(image.id), added, done)
    engine.images.remove(TAG, force=True)


@contextmanager
def changed(
    engine: docker.DockerClient, project: Project, folder: Path, file: str, old: str, new: str
) -> Iterator[str]:
    """The image built again under the same tag, with other text in one file; its id."""
    shutil.copytree(STRANGER, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    image, _ = engine.images.build(path=str(folder), tag=TAG, buildargs={"BASE": project.base}, rm=True)
    try:
        yield str(image.id)
    finally:
        engine.images.get(project.image_id).tag(TAG)
        engine.images.remove(image.id, force=True)


def test_it_passes_the_check_and_its_manifest_digest_and_verdict_are_kept(project: Project):
    assert project.added.returncode == 0, project.added.stdout + project.added.stderr
    assert f'tool: "image:{NAME}@{project.image_id}"' in project.added.stdout

    (file,) = (project.folder / "tools").iterdir()
    kept = json.loads(file.read_text())
    assert (kept["image"], kept["id"], kept["digests"]) == (TAG, project.image_id, [])
    assert kept["manifest"]["name"] == "brightness"
    verdict = {rule["rule"]: rule["holds"] for rule in kept["checks"]["v1"]}
    assert {rule for rule, holds in verdict.items() if holds is None} == {"label-grid", "whole", "weights"}
    assert False not in verdict.values()
    assert len(verdict) == 26


def test_a_study_runs_it_by_digest_beside_a_tool_of_ours(project: Project):
    assert project.done.returncode == 0, project.done.stdout + project.done.stderr

    for case in ("phantom_001", "phantom_002"):
        voxels = np.asarray(nib.load(project.folder / f"data/phantom/images/{case}.nii.gz").dataobj)
        labels = np.asarray(nib.load(project.run / f"datasets/phantom/2-labels/mine/{case}.nii.gz").dataobj)
        liver = next(label for label, organ in LABELS.items() if organ == "liver")
        np.testing.assert_array_equal(labels, np.where(voxels >= LOWEST_HU, liver, 0))
    assert (project.run / "datasets/phantom/3-scores/degraded-70.parquet").is_file()


def test_it_is_locked_in_as_our_tools_are(project: Project):
    lines = {name: (project.run / f"logs/phantom/1-raw/{name}.log").read_text() for name in ("mine", "degraded-70")}

    theirs, ours = (line.splitlines()[0].split(" --env")[0].split("--user")[1] for line in lines.values())
    assert theirs == ours
    for lock in ("--network none", "--read-only", "--cap-drop ALL", "no-new-privileges"):
        assert lock in theirs
    assert f" {project.image_id} --dataset phantom" in lines["mine"]


def test_plan_and_report_say_whose_it_is(project: Project):
    planned = run_coordinator("plan", project.folder / "study.yaml")
    page = (project.run / "report/index.html").read_text()

    said = f"{NAME}@{project.image_id}"
    assert f"mine: a foreign image, {said}" in planned.stdout
    assert f"image that does not belong to this project: {said}, which keeps the tool contract: 23 rules hold" in page
    assert "Bright voxels are bone. Journal of Thresholds" in page


def test_it_is_listed(project: Project):
    listed = run_coordinator("tool", "list", "--tools", project.folder / "tools")

    assert f"\n{TAG}: brightness 2.0.0 (v1, v2); checked: v1\n" in listed.stdout
    assert f'tool: "image:{NAME}@{project.image_id}"' in listed.stdout


@pytest.mark.parametrize("name", [f"{NAME}@{{}}", TAG])
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("describe.json", '"version": "2.0.0"', '"version": "2.0.1"'), ("segment.py", ">= lowest_hu", "> lowest_hu")],
    ids=["manifest", "code"],
)
def test_once_it_changed_it_is_refused_before_anything_runs(
    name: str, file: str, old: str, new: str, project: Project, engine: docker.DockerClient, tmp_path: Path
):
    study = project.study(name.format(project.image_id))
    before = sorted(project.run.rglob("*"))

    with changed(engine, project, tmp_path / "stranger", file, old, new) as now:
        done = run_coordinator("run", study)

    assert done.returncode == 2
    (message,) = done.stderr.splitlines()
    assert project.image_id in message
    assert "coordinator tool add" in message
    assert now in message
    assert sorted(project.run.rglob("*")) == before


def test_the_old_image_runs_on_by_its_id_whatever_its_tag_means_now(
    project: Project, engine: docker.DockerClient, tmp_path: Path
):
    study = project.study(project.image_id)

    with changed(engine, project, tmp_path / "stranger", "segment.py", ">= lowest_hu", "> lowest_hu"):
        done = run_coordinator("run", study, "--dry-run")

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_added_again_after_a_change_it_labels_the_cases_again(
    project: Project, engine: docker.DockerClient, tmp_path: Path
):
    folder = shutil.copytree(project.folder, tmp_path / "project", symlinks=True)
    (folder / "study.yaml").write_text(STUDY.format(image=TAG, runtime="auto"))

    with changed(engine, project, tmp_path / "stranger", "segment.py", ">= lowest_hu", "< lowest_hu") as now:
        run_coordinator("tool", "add", TAG, "--skip-check", "--tools", folder / "tools")
        done = run_coordinator("run", folder / "study.yaml")

    assert done.returncode == 0, done.stderr
    assert f"mine: image {TAG} was not checked against the tool contract" in done.stderr
    results = folder / "runs/foreign/datasets/phantom/1-raw/mine"
    assert json.loads((results / "run.json").read_text())["image_id"] == now
    for case in ("phantom_001", "phantom_002"):
        voxels = np.asarray(nib.load(folder / f"data/phantom/images/{case}.nii.gz").dataobj)
        labels = np.asarray(nib.load(results / f"{case}.nii.gz").dataobj)
        np.testing.assert_array_equal(labels, voxels < LOWEST_HU)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "write(file, gzip.compress(segment(content, lowest_hu), mtime=0))",
            "file.symlink_to('/etc/hostname')",
            "must be a file or a folder",
        ),
        ('"outputs": {f"{case}.nii.gz": line["output_sha256"]', '"outputs": {f"{case}.nii.gz": None', "but have None"),
        ('os.environ.get("TOOL_IMAGE_ID")', '"sha256:0"', "the image that ran, but it is sha256:0"),
    ],
    ids=["link", "digest", "image"],
)
def test_what_it_may_not_hand_in_fails_its_step(
    old: str, new: str, message: str, project: Project, engine: docker.DockerClient, tmp_path: Path
):
    folder = shutil.copytree(project.folder, tmp_path / "project", symlinks=True)
    (folder / "study.yaml").write_text(STUDY.format(image=TAG, runtime="auto"))

    with changed(engine, project, tmp_path / "stranger", "segment.py", old, new):
        run_coordinator("tool", "add", TAG, "--skip-check", "--tools", folder / "tools")
        done = run_coordinator("run", folder / "study.yaml")

    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not (folder / "runs/foreign/datasets/phantom/1-raw/mine").exists()


def test_a_kept_manifest_that_the_image_does_not_print_is_refused(project: Project, tmp_path: Path):
    (file,) = (project.folder / "tools").iterdir()
    text = file.read_text()
    file.write_text(text.replace('"version": "2.0.0"', '"version": "2.0.1"'))

    done = run_coordinator("plan", project.folder / "study.yaml")
    file.write_text(text)

    assert done.returncode == 2
    assert "`describe` must print the manifest that was kept when it was added, but version differs" in done.stderr


def test_processes_are_refused(project: Project):
    done = run_coordinator("run", project.study(TAG, "process"))

    assert done.returncode == 2
    assert f"image {TAG}: needs the runtime docker, but it is process" in done.stderr


def test_an_image_that_breaks_a_rule_is_not_kept_unless_its_check_is_skipped(
    project: Project, engine: docker.DockerClient, tmp_path: Path
):
    with changed(engine, project, tmp_path / "stranger", "segment.py", "UINT8, 8)", "4, 16)"):
        added = run_coordinator("tool", "add", TAG, "--tools", tmp_path / "tools")
        kept = list((tmp_path / "tools").glob("*"))
        skipped = run_coordinator("tool", "add", TAG, "--tools", tmp_path / "tools", "--skip-check")

    assert (added.returncode, kept) == (3, [])
    assert "was not added, since" in added.stderr
    assert skipped.returncode == 0
    (file,) = (tmp_path / "tools").iterdir()
    assert (json.loads(file.read_text())["checks"], json.loads(file.read_text())["skip_check"]) == ({}, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"name": "brightness"', '"name": "degrade"', "must have another name in its manifest than our tools"),
        ('"kind": "generator"', '"kind": "trainer"', "must be a generator, since networks are trained by ours"),
        ('"contract": 1', '"contract": 2', "`describe` must print a sound manifest as JSON, but: contract"),
    ],
)
def test_an_image_that_can_be_no_generator_here_is_refused(
    old: str, new: str, message: str, project: Project, engine: docker.DockerClient, tmp_path: Path
):
    with changed(engine, project, tmp_path / "stranger", "describe.json", old, new):
        done = run_coordinator("tool", "add", TAG, "--skip-check", "--tools", tmp_path / "tools")

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {TAG}: {message}")
    assert not (tmp_path / "tools").exists()


def test_an_unchecked_variant_is_refused(project: Project):
    study = project.study(f"{NAME}@{project.image_id}")
    study.write_text(study.read_text().replace("v1", "v2"))

    done = run_coordinator("run", study)

    assert done.returncode == 2
    assert "variant v2 of image:" in done.stderr
    assert "was never checked" in done.stderr


def test_a_base_image_is_no_tool(base_image: str, tmp_path: Path, engine: docker.DockerClient):
    done = run_coordinator("tool", "add", base_image, "--tools", tmp_path / "tools")

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {base_image}: `describe` must end with exit code 0")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "tools").exists()
