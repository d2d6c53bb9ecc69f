"""nnU-Net itself, on the same files, makes the same: preprocessed cases, fingerprint, and labels from our model file."""

import json
from pathlib import Path

import pytest
from nnunet_bench import SHORT, Workbench


@pytest.mark.venvs
def test_nnunets_own_functions_make_the_same_of_the_same_files(bench: Workbench):
    longer = (*SHORT, "--mirroring")
    bench.run("oracle-0", "--step", "fold-0", *longer, prepare=bench.out("prepared"))
    case = json.loads((bench.out("prepared") / "cases.json").read_text())["folds"][0][0]
    places = [bench.data / "toy", bench.out("prepared"), bench.out("oracle-0"), case, bench.folder / "as-nnunet"]

    running = bench.program(
        [str(Path(__file__).with_name("oracle.py")), *map(str, places)], bench.folder / "oracle.log"
    )
    assert running.exit_code() == 0, running.log.read_text()

    answers = [line for line in running.log.read_text().splitlines() if line.startswith("oracle: ")]
    answer = json.loads(answers[0].removeprefix("oracle: "))
    assert answer.pop("voxels with a label") > 0
    assert answer == {
        "labels that differ": 0,
        "preprocessed voxels that differ": 0,
        "preprocessed labels that differ": 0,
        "class locations agree": True,
        "fingerprints agree": True,
        "intensities agree": True,
        "percentiles agree": True,
    }
