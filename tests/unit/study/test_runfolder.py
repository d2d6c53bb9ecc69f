"""Names that meet in a run folder, where a run folder may lie, and run folders of earlier versions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.planning import NamedCode

from contract.errors import UsageError
from coordinator.datasets.check import CaseCheck, DatasetCheck
from coordinator.datasets.phantom import make_phantom
from coordinator.study import steps
from coordinator.study.file import Study, load_study
from coordinator.study.pipeline import check_datasets, make_plan
from coordinator.study.runfolder import refuse_older_layout, refuse_unsafe_places
from coordinator.tools.finding import find_tools

OURS = ("report", "logs", "transfer", "plan.json", "study.yaml", "datasets", "todo", "report.json", "snakemake.log")
TRAIN = "train: {epochs: 1, seeds: [0]}\n"

Plans = Callable[..., steps.Plan]


def load(folder: Path, text: str) -> Study:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml", find_tools())


def checked(name: str) -> DatasetCheck:
    checks = {case: CaseCheck((), (), image_sha256=case, labels_sha256=case) for case in "abc"}
    return DatasetCheck(name, {1: "liver"}, ("a", "b", "c"), checks, {}, ())


@pytest.fixture
def plan(tmp_path: Path) -> Plans:
    def make(*datasets: str, transfer: tuple[str, ...] = (), version: str = "medsam") -> steps.Plan:
        study = load(
            tmp_path,
            f"name: toy\ndatasets: {json.dumps(datasets)}\ntransfer: {json.dumps(transfer)}\n"
            f"generators: [{{name: {version}, tool: degrade}}]\n{TRAIN}",
        )
        return make_plan(study, {name: checked(name) for name in (*datasets, *transfer)}, NamedCode())

    return make


def test_only_names_of_ours_stand_at_the_top_of_a_run_folder_whatever_datasets_are_called(plan: Plans) -> None:
    planned = plan(*OURS, transfer=("report", "logs", "word"))

    places = [place for step in planned.steps for place in (step.output, *step.also, *step.inputs.values())]

    assert {place.split("/")[0] for place in places} == {"datasets", "transfer"}
    assert len({step.output.lower() for step in planned.steps}) == len(planned.steps)


def test_files_about_steps_never_meet_files_of_ours_whatever_datasets_are_called(plan: Plans, tmp_path: Path) -> None:
    from coordinator.cli import studyrun
    from coordinator.engine import snakemake

    planned = plan(*OURS, transfer=("word",))
    files = [f(tmp_path, s.id) for s in planned.steps for f in (steps.marker_file, steps.failure_file, steps.log_file)]
    ours = {tmp_path / snakemake.TODO, tmp_path / studyrun.REPORT_MARKER, tmp_path / "snakemake.log"}

    assert not ours & {place for file in files for place in (file, *file.parents)}


def test_names_that_would_lay_a_file_where_a_folder_must_be_are_refused(plan: Plans) -> None:
    plan("transfer", "g.json", transfer=("word",), version="g")
    with pytest.raises(UsageError, match=r"transfer/1-raw/g and about transfer/1-raw/g.json/.* another name"):
        plan("transfer", "g.json", transfer=("1-raw",), version="g")


def test_where_results_lie_changes_no_fingerprint_and_no_id(plan: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """So results of an earlier version that are moved to their place of today are not made again."""
    now = plan("word", transfer=("btcv",))
    monkeypatch.setattr(steps, "DATASETS", "elsewhere")
    then = plan("word", transfer=("btcv",))

    assert then.step("word/1-raw/medsam").output == "elsewhere/word/1-raw/medsam"
    assert {s.id: s.fingerprint for s in then.steps} == {s.id: s.fingerprint for s in now.steps}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_phantom(tmp_path / "data" / "word", cases=1, shape=(10, 10, 8))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("out", "name"),
    [("data", "word"), ("data/word", "mine"), ("data/word/images", "mine"), ("link/images", "mine"), ("scans", "mine")],
)
def test_a_run_folder_that_is_or_lies_in_a_dataset_is_refused_and_nothing_is_written(
    out: str, name: str, data: Path, tmp_path: Path
) -> None:
    (data / "word" / "images").rename(tmp_path / "scans")
    (data / "word" / "images").symlink_to(tmp_path / "scans")
    (tmp_path / "link").symlink_to(data / "word")
    study = load(tmp_path, f"name: {name}\nout: {out}\ndatasets: [word]\ngenerators: [degrade]\n")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(UsageError, match="nothing is ever written into a dataset folder"):
        check_datasets(study)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "name", "place"), [("..", "home", "data"), ("..", "home", "report"), ("../home", "mine", "mine")]
)
def test_a_run_folder_in_which_data_lies_is_refused(
    out: str, name: str, place: str, data: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    data.rename(home / place)
    study = load(home, f"name: {name}\nout: {out}\ndata: {place}\ndatasets: [word]\ngenerators: [degrade]\n")

    with pytest.raises(UsageError, match="a run folder must hold results alone, but `data`"):
        refuse_unsafe_places(study)


@pytest.mark.parametrize("name", ["../word", "", "Word", "a b", "word/images"])
def test_a_name_that_no_dataset_can_have_is_refused_in_the_study_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"lower-case letters|must be the name of a folder below `data`|must be a text on one line"
    ):
        load(tmp_path, f"name: toy\ndatasets: [{json.dumps(name)}]\ngenerators: [degrade]\n")


@pytest.mark.parametrize(
    "key", ["name: {name}\ngenerators: [degrade]", "name: toy\ngenerators: [{{name: {name}, tool: degrade}}]"]
)
def test_names_of_studies_and_label_versions_fit_any_filesystem(key: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 100 characters"):
        load(tmp_path, f"datasets: [word]\n{key.format(name='a' * 101)}\n")


def older(run: Path) -> Path:
    """Write what an earlier version left of a study: datasets beside plan.json."""
    (run / "word" / "2-labels" / "base").mkdir(parents=True)
    plan = {"cases": {"word": ["a"]}, "steps": [{"id": "word/2-labels/base", "output": "word/2-labels/base"}]}
    (run / "plan.json").write_text(json.dumps(plan))
    (run / "study.yaml").write_text("name: mine\n")
    return run


def test_a_run_folder_of_an_earlier_version_says_what_to_move(tmp_path: Path) -> None:
    run = older(tmp_path / "my runs" / "mine")

    with pytest.raises(UsageError) as caught:
        refuse_older_layout(run, is_planned_again=True)

    assert f"mkdir -p '{run}/datasets' && mv '{run}/word' '{run}/datasets'" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_it_is_met_by_planning_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    older(tmp_path / "runs" / "mine")
    study = load(tmp_path, "name: mine\ndatasets: [word]\ngenerators: [degrade]\n")

    with pytest.raises(UsageError, match="move them, then they are found again"):
        check_datasets(study)

    assert not (tmp_path / "runs" / "mine" / "datasets").exists()


def test_after_the_move_it_is_planned_again_and_until_then_the_old_plan_is_not_read(tmp_path: Path) -> None:
    run = older(tmp_path / "mine")
    (run / "datasets").mkdir()
    shutil.move(run / "word", run / "datasets" / "word")

    refuse_older_layout(run, is_planned_again=True)
    with pytest.raises(UsageError, match="`coordinator run` with the study file writes it again"):
        refuse_older_layout(run)


def test_a_run_folder_of_today_and_one_without_a_plan_are_fine(plan: Plans, tmp_path: Path) -> None:
    refuse_older_layout(tmp_path / "nowhere")
    (tmp_path / "plan.json").write_text(steps.plan_text(plan("report", "datasets")))
    (tmp_path / "report" / "split").mkdir(parents=True)

    refuse_older_layout(tmp_path)
