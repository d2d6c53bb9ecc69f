"""A long step, shared out among the tasks of an array job of a real Slurm: the same bytes, sooner."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.running import wait_until
from helpers.slurm import SITE, jobs_of, slow_template, wait_for_state
from helpers.studies import COORDINATOR, LIGHT, read_contents, run_coordinator

from coordinator.datasets.phantom import make_phantom
from coordinator.study import steps

pytestmark = pytest.mark.slurm
STEP = "phantom/1-raw/degraded-70"
CASES = 6


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the study on this machine."""
    folder = tmp_path_factory.mktemp("calm")
    make_phantom(folder / "data/phantom", cases=CASES, shape=(32, 28, 12))
    (folder / "study.yaml").write_text(LIGHT)
    done = run_coordinator("run", folder / "study.yaml", "--place", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs/light"


def write_study(calm: Path, folder: Path, further: str = "") -> Path:
    """Write the study, and a site profile by which a case a minute makes three shards."""
    data = calm.parents[1] / "data"
    (folder / "site.yaml").write_text(f"{SITE.rstrip().removesuffix('}')}, shard_minutes: 2{further}}}\n")
    (folder / "study.yaml").write_text(LIGHT.replace("data: data", f"data: {data}"))
    return folder / "study.yaml"


def assert_same(run: Path, calm: Path) -> None:
    """All results have the same bytes, and nothing else lies there."""
    expected, contents = read_contents(calm), read_contents(run)
    assert contents.keys() == expected.keys()
    assert [name for name in expected if expected[name] != contents[name]] == ["study.yaml"]


def arrays_of(run: Path) -> set[str]:
    """The ids of all array jobs that a run folder has had."""
    return {job.id.partition("_")[0] for job in jobs_of(run, "light") if job.name.endswith(".shards")}


def test_shards_leave_what_one_job_would_have_left(calm: Path, tmp_path: Path):
    done = run_coordinator("run", write_study(calm, tmp_path), "--place", "slurm")

    run = tmp_path / "runs/light"
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(run, calm)
    records = [json.loads((each / "datasets" / STEP / "run.json").read_text()) for each in (run, calm)]
    assert records[0]["outputs"] == records[1]["outputs"]
    assert [sorted(record["cases"]) for record in records] == [sorted(record["cases"]) for record in records[::-1]]
    assert len(arrays_of(run)) == 1
    logs = [(run / f"logs/{STEP}{shard}.log").read_text() for shard in (".shard-1", ".shard-2", ".shard-3", "")]
    assert [log.rstrip().splitlines()[-1] for log in logs] == [*["2 of 2 cases done, 0 failed"] * 3, "6 of 6 cases done, 0 failed"]  # fmt: skip
    assert logs[3].count("already done") == CASES


def test_shards_of_a_killed_coordinator_are_taken_over(calm: Path, tmp_path: Path):
    study = write_study(calm, tmp_path, f", template: {slow_template(tmp_path, 4)}")
    run = tmp_path / "runs/light"
    first = subprocess.Popen([COORDINATOR, "run", study, "--place", "slurm"], stdout=subprocess.DEVNULL)
    wait_until(lambda: (run / steps.PLAN).exists() and bool(arrays_of(run)), 120)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_for_state(run, "light", "RUNNING", "COMPLETED")

    done = run_coordinator("run", study, "--place", "slurm")

    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(run, calm)
    assert len(arrays_of(run)) == 1


def test_a_dry_run_shows_the_array_and_what_has_results_is_not_shared_out(calm: Path, tmp_path: Path):
    study = write_study(calm, tmp_path)
    scripts = tmp_path / f"runs/light/.slurm/scripts/{STEP}"

    assert run_coordinator("run", study, "--dry-run", "--place", "slurm").returncode == 0

    script = scripts.with_name(f"{scripts.name}.shards.sh").read_text()
    assert "#SBATCH --array=1-3\n" in script
    assert script.endswith(' "$SLURM_ARRAY_TASK_ID/3"\n')
    assert "--array" not in scripts.with_name(f"{scripts.name}.sh").read_text()
