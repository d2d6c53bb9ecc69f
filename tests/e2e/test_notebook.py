"""The notebook of the docs does what it shows, on a study that was run; and the reference lists all names that it may use.

The notebook is kept without outputs: they would hold paths and times of one machine, and nobody would notice when the
cells no longer print them. It is executed here instead.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from coordinator.results.failednetworks import FailedNetwork
from coordinator.results.run import FAILURES, LABEL_SCORES, LABEL_SHELLS, MODEL_SCORES, TRAINING_LOGS

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTEBOOK = DOCS / "tutorials" / "results.ipynb"
VERSIONS = ["degraded-90", "degraded-60"]
RESULTS = "import json; print(json.dumps({name: globals()[name].to_dicts() for name in ('quality', 'gains', 'own', 'steps')}))"


class Executed(NamedTuple):
    """The notebook's outputs by cell, its frames by variable, and the run folder that it looked at."""

    outputs: dict[str, list[NotebookNode]]
    frames: dict[str, list[dict[str, Any]]]
    run: Path

    def text(self, cell: str) -> str:
        """What a cell shows."""
        shown = self.outputs[cell]
        return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in shown)


@pytest.fixture(scope="module")
def executed(
    small: Path, small_done: "subprocess.CompletedProcess[str]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executed]:
    """The notebook on the small study; the kernel is this Python, and keeps its files in a temporary folder."""
    run = small.parent / "runs" / "small"
    assert (run / "report").is_dir(), small_done.stdout + small_done.stderr
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    mine = run / "datasets" / "phantom" / "2-labels" / "degraded-60"
    parameters.source = f"run_folder = {str(run)!r}\nstudy_file = {str(small)!r}\nmy_labels = {str(mine)!r}"
    notebook.cells.append(new_code_cell(RESULTS, id="results"))
    home = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            (home / name).mkdir()
            patch.setenv(name, str(home / name))
        patch.delenv("MPLBACKEND", raising=False)
        place = {"metadata": {"path": str(home)}}
        NotebookClient(notebook, kernel_name="python3", timeout=600, startup_timeout=300, resources=place).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    yield Executed(outputs, json.loads(outputs["results"][0].text), run)


@pytest.mark.venvs
def test_label_quality_in_the_notebook_is_that_of_the_report(executed: Executed) -> None:
    table = pl.read_csv(executed.run / "report" / "tables" / "label-quality-organs-phantom.csv")

    shown = {(row["organ"], version): row[version] for row in executed.frames["quality"] for version in VERSIONS}

    assert shown == pytest.approx(
        {(row["organ"], row["version"]): row["dice"] for row in table.iter_rows(named=True)}, abs=1e-6
    )


@pytest.mark.venvs
def test_gains_in_the_notebook_are_those_of_the_report(executed: Executed) -> None:
    table = pl.read_csv(executed.run / "report" / "tables" / "verdict.csv")

    overall = [row for row in executed.frames["gains"] if row["organ"] is None]

    assert [row["version"] for row in overall] == VERSIONS
    for column in ("gain", "low", "high", "cases"):
        assert [row[column] for row in overall] == pytest.approx(table[column].to_list(), abs=1e-6)


@pytest.mark.venvs
def test_own_label_maps_get_the_scores_that_the_study_gave_them(executed: Executed) -> None:
    scores = pl.read_parquet(executed.run / "datasets" / "phantom" / "3-scores" / "degraded-60.parquet")

    assert executed.frames["own"] == scores.drop("dataset", "version").to_dicts()


@pytest.mark.venvs
def test_the_notebook_lists_the_steps_that_were_run(executed: Executed) -> None:
    plan = json.loads((executed.run / "plan.json").read_text(encoding="utf-8"))

    assert [(row["step"], row["GPUs"]) for row in executed.frames["steps"]] == [
        (s["id"], s["gpus"]) for s in plan["steps"]
    ]


@pytest.mark.venvs
def test_the_notebook_shows_pictures_and_what_went_wrong(executed: Executed) -> None:
    pictures = [
        cell for cell, shown in executed.outputs.items() if any("image/png" in o.get("data", {}) for o in shown)
    ]

    assert pictures == ["gains-plot", "curves"]
    assert "phantom_002.nii.gz: gzip stream is truncated" in executed.text("set-aside")
    assert executed.text("load").startswith("<Run small: phantom; degraded-90, degraded-60; 56 label scores, ")


@pytest.mark.venvs
def test_no_cell_of_the_notebook_warns(executed: Executed) -> None:
    warnings = [o.text for shown in executed.outputs.values() for o in shown if o.get("name") == "stderr"]

    assert warnings == []


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    nbformat.validate(notebook)
    kept = [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert kept == []


def test_the_reference_lists_the_public_names_of_its_packages() -> None:
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `(coordinator\.\w+)\.(\w+)", text, flags=re.MULTILINE)

    packages = sorted({package for package, _ in listed})
    assert packages == [f"coordinator.{name}" for name in ("results", "scoring", "statistics", "study", "verdict")]
    assert sorted(listed) == sorted((package, name) for package in packages for name in import_module(package).__all__)


def test_the_reference_lists_the_columns_of_a_runs_frames_and_what_is_known_of_failed_networks() -> None:
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")

    columns = {*LABEL_SCORES, *LABEL_SHELLS, *MODEL_SCORES, *TRAINING_LOGS, *FAILURES}
    columns |= {field.name for field in fields(FailedNetwork)}

    assert "`run.failed_networks`" in text
    assert columns - set(re.findall(r"`(\w+)`", text)) == set()
