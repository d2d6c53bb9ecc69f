"""`coordinator remap` and `coordinator score`: where they write, and which files they pass over."""

import shutil
from pathlib import Path

import pytest

from contract.datasets import open_dataset
from contract.errors import UsageError
from coordinator.cli.labelmaps import remap_folder, score_and_print
from coordinator.datasets.phantom import make_phantom


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    make_phantom(tmp_path / "data" / "phantom", cases=2, shape=(10, 10, 8))
    return tmp_path / "data" / "phantom"


@pytest.fixture
def mapping(phantom: Path, tmp_path: Path) -> Path:
    organs = open_dataset(phantom.parent, "phantom").labels.values()
    file = tmp_path / "mapping.yaml"
    file.write_text("map:\n" + "".join(f"  {organ}: [{organ}]\n" for organ in organs))
    return file


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_remap_never_overwrites_what_it_reads(phantom: Path, mapping: Path, tmp_path: Path) -> None:
    source = shutil.copytree(phantom / "labels", tmp_path / "mine")
    (tmp_path / "again").symlink_to(source)
    before = contents(source)

    for target in (source, tmp_path / "again", tmp_path / "x" / ".." / "mine"):
        with pytest.raises(UsageError, match="must write beside the label maps that it reads"):
            remap_folder(mapping, source, target, "degrade", phantom)

    assert contents(source) == before


def test_remap_never_overwrites_originals_behind_links(phantom: Path, mapping: Path, tmp_path: Path) -> None:
    originals, source = shutil.copytree(phantom / "labels", tmp_path / "originals"), tmp_path / "links"
    source.mkdir()
    for file in originals.iterdir():
        (source / file.name).symlink_to(file)

    with pytest.raises(UsageError, match="must write beside"):
        remap_folder(mapping, source, originals, "degrade", phantom)


def test_remap_refuses_any_dataset_and_not_only_the_one_that_names_the_organs(
    phantom: Path, mapping: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(phantom, tmp_path / "data" / "other")
    (other / "dataset.yaml").write_text("name: other\n")
    before = contents(tmp_path / "data")

    for target in (other, other / "labels", other / "new", phantom / "labels"):
        with pytest.raises(UsageError, match="nothing is ever written into a dataset folder"):
            remap_folder(mapping, phantom / "labels", target, "degrade", phantom)

    assert contents(tmp_path / "data") == before


def test_remap_writes_every_case_beside_and_names_what_it_passes_over(
    phantom: Path, mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shutil.copytree(phantom / "labels", tmp_path / "mine")
    (source / "phantom_001.nii.gz").rename(source / "Patient 01, b.nii.gz")
    (source / "c.NII.GZ").write_bytes(b"")

    remap_folder(mapping, source, tmp_path / "remapped", "degrade", phantom)

    assert sorted(p.name for p in (tmp_path / "remapped").iterdir()) == ["Patient 01, b.nii.gz", "phantom_002.nii.gz"]
    assert "warning: mine: passed over: c.NII.GZ" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["scores.csv", "labels/scores.csv", "../phantom/scores.parquet"])
def test_score_writes_nothing_into_a_dataset(out: str, phantom: Path) -> None:
    folders = phantom / "labels", phantom / "labels"

    with pytest.raises(UsageError, match="nothing is ever written into a dataset folder"):
        score_and_print(folders, phantom, None, "flare21", phantom / out)

    assert not (phantom / out).exists()


def test_score_says_before_it_scores_that_there_is_no_folder_for_its_file(phantom: Path, tmp_path: Path) -> None:
    folders = phantom / "labels", phantom / "labels"

    with pytest.raises(UsageError, match="must lie in a folder that exists"):
        score_and_print(folders, phantom, None, "flare21", tmp_path / "nowhere" / "scores.csv")
