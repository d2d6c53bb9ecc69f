"""The command line of a tool: options, environment, shards, and what is refused before the first case."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.brighttool import Place


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


def test_a_pipe_as_a_list_of_cases_is_not_waited_for(place: Place) -> None:
    os.mkfifo(place.data / "cases.txt")

    done = place.run("--cases", "@cases.txt")

    assert done.returncode == 2
    assert "cases.txt must be readable, but: it is a named pipe" in done.stderr


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
