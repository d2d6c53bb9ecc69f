"""The studies that come with the project: the paper's, and short ones for one GPU and a day."""

import shutil
from pathlib import Path

import pytest
from helpers.inprocess import call_coordinator
from helpers.publicdatasets import CASES, make_stand_in
from helpers.standins import STANDINS

from coordinator.cli.planning import measure
from coordinator.cli.studyrun import prepare

STUDIES = Path(__file__).resolve().parents[3] / "studies"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies beside stand-ins of their datasets, of ten cases each."""
    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(STUDIES, folder / "studies")
    (folder / "weights").symlink_to(STANDINS)
    for name in CASES:
        make_stand_in(folder / "data", name, cases=10)
    return folder


def read_rows(printed: str) -> dict[str, tuple[str, ...]]:
    """Study -> the columns beside it."""
    lines = [line.split() for line in printed.splitlines()]
    start = next(number for number, line in enumerate(lines) if line[:1] == ["study"])
    return {line[0]: tuple(line[1:]) for line in lines[start + 1 :] if len(line) == 8}


def test_the_papers_studies_are_forty_trainings_and_ninety_fine_tunings(
    copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = call_coordinator(capfd, "plan", copied / "studies" / "paper", "--runtime", "process")

    assert ended.code == 0, ended.err
    table = read_rows(ended.out)
    # nnU-Net has seven steps, each of six other generators one.
    assert {study: row[1:4] for study, row in table.items()} == {
        **dict.fromkeys(("abdomenatlas10", "abdomenct1k", "amos22", "btcv", "word"), ("13", "8", "18")),
        "all": ("65", "40", "90"),
    }
    hours = {study: int(row[4].replace(",", "")) for study, row in table.items()}
    assert abs(hours.pop("all") - sum(hours.values())) <= 3
    # 8 + 18 networks of the study and 5 of nnU-Net's, 250,000 steps each.
    assert all(row > 31 * 250_000 * 0.13 / 3600 for row in hours.values())


def test_scans_that_a_base_dataset_shares_with_a_target_are_named(
    copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = call_coordinator(capfd, "plan", copied / "studies" / "paper" / "abdomenct1k.yaml", "--runtime", "process")

    assert ended.code == 0, ended.err
    assert "10 scans are in both abdomenct1k and flare21" in ended.out
    assert ended.err == ""
    assert "flare21/train_010 = abdomenct1k/Case_00010" in ended.out
    assert "held out like others (`exclude_leaks: false`), so tests may show what is only remembered" in ended.out


def test_where_a_target_has_no_other_scans_nothing_is_tested_unless_told_to(
    copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    careful = copied / "studies" / "paper" / "careful.yml"
    careful.write_text((careful.parent / "abdomenct1k.yaml").read_text().replace("exclude_leaks: false", ""))

    ended = call_coordinator(capfd, "plan", careful, "--runtime", "process")

    assert ended.code == 2
    assert "flare21: some scan must be held out, but each is also on the training side" in ended.err
    assert "or, to test on scans that networks know, say `exclude_leaks: false`" in ended.err


@pytest.mark.parametrize("name", sorted(file.stem for file in (STUDIES / "quick").glob("*.yaml")))
def test_a_quick_study_of_all_cases_takes_one_gpu_less_than_a_day(name: str, tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to(STANDINS)
    make_stand_in(tmp_path / "data", name)
    shutil.copytree(STUDIES / "quick", tmp_path / "studies" / "quick")

    size = measure(prepare(tmp_path / "studies" / "quick" / f"{name}.yaml", "process", lambda line: None))

    assert 8 < size.gpu_hours < 24


def test_studies_that_cannot_be_planned_are_named_and_the_others_summed(
    copied: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(copied / "studies", tmp_path / "studies")
    for name in ("data", "weights"):
        (tmp_path / name).mkdir()
    for dataset in ("word", "segthor", "flare21"):
        (tmp_path / "data" / dataset).symlink_to(copied / "data" / dataset)
    shutil.copytree(STANDINS, tmp_path / "weights", dirs_exist_ok=True)

    ended = call_coordinator(capfd, "plan", tmp_path / "studies" / "paper", "--runtime", "process")

    assert ended.code == 2
    assert read_rows(ended.out)["all"][1:4] == ("13", "8", "18")
    assert "4 of 5 studies cannot be planned, and are in no sum:\n  abdomenatlas10.yaml: " in ended.err
    assert "no dataset 'btcv'" in ended.err


def test_a_folder_without_studies_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = call_coordinator(capfd, "plan", tmp_path)

    assert (ended.code, ended.err.startswith(f"error: {tmp_path}: must be a study file, or a folder")) == (2, True)
