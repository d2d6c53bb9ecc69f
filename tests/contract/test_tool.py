"""The program around a tool: results, resume, cases that fail, being stopped."""

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.brighttool import OBLIQUE, TOOL, Place

from contract.volumes import read_image, write_image


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


NAMES_ITS_DEVICE = TOOL.replace(
    "    return context.options\n", '    context.facts["device"] = "found"\n    return context.options\n'
)


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_run_that_only_looks_at_results_keeps_what_made_them(record: str, place: Place) -> None:
    """A run that was killed after its last case leaves nothing to do but `run.json`."""
    kill = 'case.name == "b" and os.kill(os.getpid(), 9)'
    (place.tool / "tool.py").write_text(NAMES_ITS_DEVICE.replace("    time.sleep", f"    {kill}\n    time.sleep"))
    killed = place.run("--cases", "a,b")
    if record == "lost":
        (place.results / "run.json").unlink()
    (place.tool / "tool.py").write_text(NAMES_ITS_DEVICE)

    again = place.run("--cases", "a")

    run = json.loads((place.results / "run.json").read_text())
    assert killed.returncode == -signal.SIGKILL
    assert "a: already done" in again.stderr
    assert ("loaded" in again.stderr) == (record == "lost")
    assert (run["device"], list(run["outputs"]), list(run["cases"])) == ("found", ["a.nii.gz"], ["a"])


def test_a_run_that_is_killed_while_it_mends_a_case_does_not_lose_it_from_the_record(place: Place) -> None:
    place.run()
    (place.results / "b.nii.gz").unlink()
    last_words = "from contract import records\nrecords.write_statuses = lambda *_: os._exit(9)\n"
    (place.tool / "tool.py").write_text(TOOL.replace("def load", f"{last_words}\ndef load"))
    killed = place.run()
    (place.tool / "tool.py").write_text(TOOL)

    again = place.run()

    run = json.loads((place.results / "run.json").read_text())
    assert (killed.returncode, again.returncode) == (9, 0)
    assert "loaded" not in again.stderr
    assert sorted(run["outputs"]) == sorted(place.times()) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_only_a_changed_image_is_done_again(place: Place) -> None:
    place.run()
    before = place.times()
    write_image(place.image("b"), np.full((6, 5, 4), 400, np.int16), OBLIQUE)

    place.run()

    changed = {name for name, time_ns in place.times().items() if time_ns != before[name]}
    assert changed == {"b.nii.gz"}
    assert read_image(place.results / "b.nii.gz").array.all()


@pytest.mark.parametrize(("labels", "done_again"), [("from-dataset", True), ("{1: bright}", False)])
def test_other_names_of_organs_are_other_work_for_a_tool_that_finds_organs_by_their_names(
    place: Place, labels: str, done_again: bool
) -> None:
    manifest = place.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("{1: bright}", labels))
    place.run()
    description = place.dataset / "dataset.yaml"
    description.write_text(description.read_text().replace("bright", "shining"))

    again = place.run()

    assert ("loaded" in again.stderr) == done_again


def test_a_case_whose_image_is_replaced_while_it_is_read_has_no_result(place: Place) -> None:
    """Its fingerprint would name one image, and its labels might be of the other."""
    replace = f"open({str(place.image('b'))!r}, 'ab').write(b'x')"
    tool = TOOL.replace("    time.sleep", f"    case.name == 'b' and {replace}\n    time.sleep")
    (place.tool / "tool.py").write_text(tool)

    done = place.run()

    assert done.returncode == 3, done.stderr
    assert sorted(place.times()) == ["a.nii.gz", "c.nii.gz"]
    assert "were replaced; run this again" in place.statuses()["b"]["reason"]


def test_weights_that_are_replaced_between_their_check_and_their_loading_make_no_labels(place: Place) -> None:
    """Labels of other weights would otherwise be kept under the fingerprint of the right ones."""
    weights = place.data.parent / "weights"
    (weights / "bright").mkdir(parents=True)
    (weights / "bright" / "one.pt").write_bytes(b"right")
    about = f"weights: [{{file: one.pt, sha256: {hashlib.sha256(b'right').hexdigest()}, licence: MIT, url: 'https://example.org/one.pt', size_mb: 1}}]"
    manifest = place.tool / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("labels: {1: bright}}", f"labels: {{1: bright}}, {about}}}"))
    swap = 'context.weights["one.pt"].write_bytes(b"wrong")'
    (place.tool / "tool.py").write_text(TOOL.replace("    print(", f"    {swap}\n    print("))

    done = place.run("--weights", str(weights))
    (weights / "bright" / "one.pt").write_bytes(b"right")
    (place.tool / "tool.py").write_text(TOOL)
    again = place.run("--weights", str(weights))

    assert done.returncode == 2
    assert "one.pt: weights must stay as they are while they are used, but were replaced" in done.stderr
    assert again.returncode == 0, again.stderr
    assert "already done" not in again.stderr


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


def test_a_case_that_was_done_again_before_a_stop_is_on_record_with_its_new_image(place: Place) -> None:
    place.run("--pause-s", "0.6")
    for case in "ab":
        write_image(place.image(case), np.full((6, 5, 4), 400, np.int16), OBLIQUE)
    process = subprocess.Popen(place.command("--pause-s", "0.6"), stderr=subprocess.DEVNULL)
    status = place.results / "status.jsonl"
    while status.read_text().count('"case": "a"') < 2:
        time.sleep(0.02)
    process.kill()
    process.wait()

    assert place.run("--pause-s", "0.6").returncode == 0

    cases = json.loads((place.results / "run.json").read_text())["cases"]
    digests = {case: hashlib.sha256(place.image(case).read_bytes()).hexdigest() for case in "abc"}
    assert {case: record["input_sha256"] for case, record in cases.items()} == digests


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


SWALLOWER = """
import os, signal
from contract import Cases, run

def interrupted_import():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        raise ImportError('generic_type: type "ObjSense" is already registered!')

def load(context):
    if {in_load}:
        interrupted_import()

def segment(model, case):
    interrupted_import()

if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))
"""
"""The import of a compiled module that is interrupted half way is tried again, and then finds its own types."""


@pytest.mark.parametrize("in_load", [True, False])
def test_an_interruption_that_a_library_made_an_error_of_stops_the_tool(in_load: bool, place: Place) -> None:
    (place.tool / "tool.py").write_text(SWALLOWER.format(in_load=in_load))

    done = place.run()

    assert done.returncode == 143, done.stderr
    assert "stopped by SIGTERM" in done.stderr
    assert not (place.results / "status.jsonl").exists()


def test_run_json_says_what_the_runtime_could_not_keep_the_tool_from(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run()
    assert json.loads((place.results / "run.json").read_text())["unrestricted"] is None

    monkeypatch.setenv("TOOL_UNRESTRICTED", "the network")
    place.run("--overwrite")
    assert json.loads((place.results / "run.json").read_text())["unrestricted"] == "the network"
