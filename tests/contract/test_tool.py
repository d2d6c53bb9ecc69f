"""The program around a tool, driven as users drive it: as a process."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.volumes import read_image, write_image

MANIFEST = """
contract: 1
name: bright
version: 0.1.0
kind: generator
summary: Marks bright voxels.
licence: Apache-2.0
needs: [{needs}]
default_variant: one
variants:
  one: {{summary: one label, labels: {{1: bright}}}}
options:
  lowest-hu: {{type: int, default: 100, minimum: -1000, maximum: 3000, help: lowest HU}}
  pause-s: {{type: float, default: 0, help: seconds a case}}
  returns: {{type: str, default: labels, choices: [labels, wrong-shape, unknown-id, floats, error], help: what it gives}}
"""
TOOL = """
import sys, time
import numpy as np
from contract import Cases, run

def load(context):
    print("loaded", file=sys.stderr, flush=True)
    return context.options

def segment(options, case):
    time.sleep(options["pause-s"])
    labels = (case.image.array >= options["lowest-hu"]).astype(np.uint8)
    match options["returns"]:
        case "wrong-shape": return labels[1:]
        case "unknown-id": return labels * 7
        case "floats": return labels * 0.5
        case "error": raise RuntimeError("out of memory, say")
    return labels

if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
"""
OBLIQUE = np.array([[1.5, 0.3, 0, -9], [-0.3, 1.4, 0.1, 5], [0, -0.1, -2.5, 40], [0, 0, 0, 1]], np.float64)


class Place:
    """A tool, a data folder with three cases, and a folder for results."""

    def __init__(self, folder: Path, needs: str = "") -> None:
        self.tool, self.data, self.out = folder / "bright", folder / "data", folder / "out"
        self.tool.mkdir()
        (self.tool / "manifest.yaml").write_text(MANIFEST.format(needs=needs))
        (self.tool / "tool.py").write_text(TOOL)
        self.dataset = self.data / "toy"
        (self.dataset / "images").mkdir(parents=True)
        (self.dataset / "dataset.yaml").write_text("name: toy\nlabels: {1: bright}\n")
        random = np.random.default_rng(1)
        for case in "abc":
            write_image(self.image(case), random.integers(-500, 500, (6, 5, 4), np.int16), OBLIQUE)

    def image(self, case: str) -> Path:
        return self.dataset / "images" / f"{case}.nii.gz"

    @property
    def results(self) -> Path:
        return self.out / "toy" / "bright-one"

    def command(self, *arguments: str) -> list[str]:
        folders = ["--data", str(self.data), "--out", str(self.out), "--inputs", str(self.data)]
        return [sys.executable, str(self.tool / "tool.py"), "--dataset", "toy", *folders, *arguments]

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, env={**os.environ, **environment}
        )

    def statuses(self) -> dict[str, dict[str, Any]]:
        lines = (self.results / "status.jsonl").read_text().splitlines()
        return {record["case"]: record for record in map(json.loads, lines)}

    def times(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.results.glob("*.nii.gz")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_run_gives_a_label_map_a_case_a_status_and_provenance(place: Place) -> None:
    done = place.run()

    run = json.loads((place.results / "run.json").read_text())
    assert done.returncode == 0, done.stderr
    assert sorted(place.times()) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert [record["state"] for record in place.statuses().values()] == ["done"] * 3
    assert run["options"] == {"lowest-hu": 100, "pause-s": 0.0, "returns": "labels"}
    assert run["packages"]["numpy"] == np.__version__
    assert set(run["cases"]["a"]) == {"input_sha256", "output_sha256", "seconds", "peak_memory_mb"}
    assert run["cases"]["a"]["input_sha256"] == hashlib.sha256(place.image("a").read_bytes()).hexdigest()
    assert run["outputs"]["a.nii.gz"] == run["cases"]["a"]["output_sha256"]
    assert "1/3] a: done" in done.stderr


def test_a_second_run_does_nothing_and_loads_no_model(place: Place) -> None:
    place.run()
    before = place.times(), (place.results / "run.json").read_bytes()

    second = place.run()

    assert second.returncode == 0
    assert "loaded" not in second.stderr
    assert (place.times(), (place.results / "run.json").read_bytes()) == before


def test_only_a_changed_image_is_done_again(place: Place) -> None:
    place.run()
    before = place.times()
    write_image(place.image("b"), np.full((6, 5, 4), 400, np.int16), OBLIQUE)

    place.run()

    changed = {name for name, time_ns in place.times().items() if time_ns != before[name]}
    assert changed == {"b.nii.gz"}
    assert read_image(place.results / "b.nii.gz").array.all()


@pytest.mark.parametrize("arguments", [("--lowest-hu", "50"), ("--threads", "2"), ("--overwrite",)])
def test_another_option_does_everything_again(arguments: tuple[str, ...], place: Place) -> None:
    place.run()
    before = place.times()

    place.run(*arguments)

    assert all(time_ns != before[name] for name, time_ns in place.times().items())


def test_a_result_that_was_tampered_with_is_done_again(place: Place) -> None:
    place.run()
    good = (place.results / "a.nii.gz").read_bytes()
    (place.results / "a.nii.gz").write_bytes(good[:-3])

    place.run()

    assert (place.results / "a.nii.gz").read_bytes() == good


def test_one_bad_case_fails_alone_with_its_reason(place: Place) -> None:
    place.image("b").write_bytes(place.image("b").read_bytes()[:50])

    done = place.run()

    assert done.returncode == 3
    assert sorted(place.times()) == ["a.nii.gz", "c.nii.gz"]
    assert "b.nii.gz: gzip stream is truncated" in place.statuses()["b"]["reason"]


def test_a_case_that_fails_now_leaves_no_result_of_an_earlier_input(place: Place) -> None:
    place.run()
    place.image("b").write_bytes(b"")

    assert place.run().returncode == 3
    assert sorted(place.times()) == ["a.nii.gz", "c.nii.gz"]


def test_an_error_in_the_tool_is_the_cases_failure_and_its_traceback_is_shown(place: Place) -> None:
    done = place.run("--returns", "error")

    assert done.returncode == 3
    assert place.statuses()["a"]["reason"] == "RuntimeError: out of memory, say"
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("returns", "reason"), [("wrong-shape", "image's shape"), ("unknown-id", r"[7]"), ("floats", "0.5")]
)
def test_an_output_that_breaks_the_contract_is_not_written(returns: str, reason: str, place: Place) -> None:
    done = place.run("--returns", returns)

    assert done.returncode == 4
    assert place.times() == {}
    assert reason in place.statuses()["a"]["reason"]


def test_a_bug_in_loading_is_a_traceback_and_exit_code_1(place: Place) -> None:
    (place.tool / "tool.py").write_text(TOOL.replace('print("loaded"', 'raise ValueError("bug"); print("loaded"'))

    done = place.run()

    assert done.returncode == 1
    assert "ValueError: bug" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cases", "a,bb"), "no case 'bb'; did you mean `b`?"),
        (("--lowest-hu", "9999"), "lowest-hu must be at most 3000, but it is 9999"),
        (("--lowest-hu", "bright"), "invalid int value"),
        (("--device", "gpu"), "auto, cpu, cuda or cuda:I"),
        (("--shard", "3/2"), "1 <= I <= N"),
        (("--cases", "a", "--shard", "1/2"), "exclude each other"),
        (("--cases", "@nowhere.txt"), "nowhere.txt must be readable"),
        (("--no-such-option",), "unrecognized"),
        (("--dataset", "toi"), "did you mean `toy`?"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message_and_exit_code_2(
    arguments: tuple[str, ...], message: str, place: Place
) -> None:
    done = place.run(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_tool_that_needs_labels_says_so_on_a_dataset_without(tmp_path: Path) -> None:
    place = Place(tmp_path, needs="labels")
    (place.dataset / "dataset.yaml").write_text("name: toy\nlabels: {}\n")

    done = place.run()

    assert done.returncode == 2
    assert "bright needs labels, but this dataset has none" in done.stderr


def test_options_come_from_the_environment_and_the_command_line_wins(place: Place) -> None:
    place.run(TOOL_LOWEST_HU="42", TOOL_CASES="a,b")
    from_environment = json.loads((place.results / "run.json").read_text())["options"]["lowest-hu"]
    cases = sorted(place.times())
    place.run("--lowest-hu", "43", TOOL_LOWEST_HU="42")
    from_command_line = json.loads((place.results / "run.json").read_text())["options"]["lowest-hu"]

    assert (from_environment, cases, from_command_line) == (42, ["a.nii.gz", "b.nii.gz"], 43)


def test_shards_together_do_every_case_once(place: Place) -> None:
    seen = []
    for shard in ("1/2", "2/2"):
        place.run("--shard", shard, "--label-version", shard[0])
        seen += [path.name for path in (place.out / "toy" / shard[0]).glob("*.nii.gz")]

    assert sorted(seen) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_describe_needs_no_data(place: Place) -> None:
    shutil.rmtree(place.data)
    done = subprocess.run([sys.executable, str(place.tool / "tool.py"), "describe"], capture_output=True, check=True)

    assert json.loads(done.stdout)["variants"]["one"]["labels"] == {"1": "bright"}


def test_sigterm_stops_with_143_and_the_next_run_goes_on(place: Place) -> None:
    process = subprocess.Popen(place.command("--pause-s", "0.6"), stderr=subprocess.DEVNULL)
    status = place.results / "status.jsonl"
    while not (status.exists() and status.read_text().endswith("\n")):  # before that line, the case is not done
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 143
    first = place.times()
    assert 1 <= len(first) < 3

    assert place.run("--pause-s", "0.6").returncode == 0
    assert place.times()["a.nii.gz"] == first["a.nii.gz"]
    assert len(place.times()) == 3


def test_killed_at_any_moment_a_tool_ends_in_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    calm, killed = Place(tmp_path / "calm"), Place(tmp_path / "killed")
    calm.run("--pause-s", "0.05")

    for milliseconds in (250, 500, 700, 800):
        process = subprocess.Popen(killed.command("--pause-s", "0.05"), stderr=subprocess.DEVNULL)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        for path in killed.results.glob("*.nii.gz"):
            read_image(path)  # whatever has its name is whole
    killed.run("--pause-s", "0.05")

    def content(place: Place) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in place.results.iterdir() if p.name != "run.json"}

    assert content(killed) == content(calm)


def test_weights_of_another_sha256_are_refused(place: Place) -> None:
    weights = "{file: w.pt, url: https://example.org/w.pt, sha256: '" + "0" * 64 + "', size_mb: 1, licence: MIT}"
    manifest = (place.tool / "manifest.yaml").read_text()
    (place.tool / "manifest.yaml").write_text(
        manifest.replace("labels: {1: bright}", f"labels: {{1: bright}}, weights: [{weights}]")
    )
    missing = place.run("--weights", str(place.out))
    (place.out / "bright").mkdir(parents=True, exist_ok=True)
    (place.out / "bright" / "w.pt").write_bytes(b"not these")
    wrong = place.run("--weights", str(place.out))

    assert (missing.returncode, wrong.returncode) == (2, 2)
    assert "`coordinator weights fetch bright-one` puts them there (from https://example.org/w.pt)" in missing.stderr
    assert "must have sha256 000" in wrong.stderr


def test_a_place_that_cannot_be_written_to_is_named_with_the_user_id(place: Place) -> None:
    place.out.write_text("a file where the folder should be")

    done = place.run()

    assert done.returncode == 2
    assert f"{place.out}: must be writable by uid {os.getuid()}" in done.stderr


STEPPED = """
from contract import Cases, Job, run

def count(context):
    text = " ".join(context.cases)
    (context.folder / "count.txt").write_text(text)

def load(context):
    return len((context.input_folder("counted") / "count.txt").read_text().split())

def segment(number, case):
    return (case.image.array > 100) * (number > 0)

if __name__ == "__main__":
    raise SystemExit(run(__file__, {"count": Job(count), "mark": Cases(load, segment)}))
"""


@pytest.fixture
def stepped(place: Place) -> Place:
    """A tool that first counts, then marks; `counted` is what the second step calls the first one's results."""
    manifest = place.tool / "manifest.yaml"
    steps = "{count: {summary: counts}, mark: {summary: marks, inputs: {counted: count}, reads: [images]}}"
    manifest.write_text(manifest.read_text() + f"steps: {steps}\n")
    (place.tool / "tool.py").write_text(STEPPED)
    return place


def test_without_a_step_all_are_done_in_order_and_a_second_run_is_a_no_op(stepped: Place) -> None:
    first = stepped.run()
    times = stepped.times()
    second = stepped.run()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert (stepped.out / "toy" / ".bright-one" / "count" / "count.txt").read_text() == "a b c"
    assert set(times) == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}
    assert stepped.times() == times
    assert "count: already done" in second.stderr


def test_a_step_that_reads_labels_is_redone_when_their_meaning_changes(stepped: Place) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("{summary: counts}", "{summary: counts, reads: [labels]}"))
    stepped.run("--step", "count")
    same = stepped.run("--step", "count")
    (stepped.dataset / "dataset.yaml").write_text("name: toy\nlabels: {1: dark}\n")
    other = stepped.run("--step", "count")

    assert "already done" in same.stderr
    assert other.returncode == 0, other.stderr
    assert "already done" not in other.stderr


def test_one_step_reads_the_results_of_another_below_inputs(stepped: Place) -> None:
    alone = stepped.run("--step", "mark")
    counted = stepped.data / "counted"
    counted.mkdir()
    (counted / "count.txt").write_text("a b")
    given = stepped.run("--step", "mark")

    assert alone.returncode == 2
    assert "counted: must hold the results of an earlier step" in alone.stderr
    assert given.returncode == 0, given.stderr


def test_a_step_that_asks_for_an_input_that_nobody_makes_is_refused(stepped: Place) -> None:
    manifest = stepped.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("counted: count}", "counted: cuont}"))

    done = stepped.run()

    assert done.returncode == 2
    assert "steps.mark.inputs: 'cuont' is no earlier step" in done.stderr
