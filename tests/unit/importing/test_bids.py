"""BIDS: names of several parts, label maps among the derivatives, subjects with several sessions."""

from pathlib import Path

import pytest
from helpers.distributions import centre_mm, digest_tree, patient, save, write_json
from helpers.inprocess import Ended, call_coordinator

from contract.datasets import open_dataset
from coordinator.datasets.anatomy import LABELS

Captured = pytest.CaptureFixture[str]
TSV = "index\tname\tcolor\n0\tbackground\t#000000\n" + "".join(
    f"{i}\t{organ}\t#0000ff\n" for i, organ in LABELS.items()
)


def write_bids(source: Path) -> None:
    """Two sessions of one subject, one of another, and a scan that nobody has labelled."""
    cases = {"sub-01_ses-a": "sub-01/ses-a", "sub-01_ses-b": "sub-01/ses-b", "sub-02": "sub-02"}
    for number, (name, folder) in enumerate(cases.items()):
        save(source / folder / "ct" / f"{name}_ct.nii.gz", patient(number).image)
        labels = source / "derivatives" / "organs" / folder / "ct" / f"{name}_space-orig_desc-organs_dseg.nii.gz"
        save(labels, patient(number).labels(LABELS))
    save(source / "sub-03" / "ct" / "sub-03_ct.nii.gz", patient(3).image)
    write_json(source / "dataset_description.json", {"Name": "Two Clinics", "BIDSVersion": "1.9.0", "License": "CC0"})
    (source / "derivatives" / "organs" / "dseg.tsv").write_text(TSV)


def import_into_data(capfd: Captured, source: Path, *options: str) -> Ended:
    return call_coordinator(capfd, "dataset", "import", source, "--into", source.parent / "data", *options)


def test_label_maps_find_their_images_and_sessions_their_subject(tmp_path: Path, capfd: Captured):
    write_bids(tmp_path / "bids")
    before = digest_tree(tmp_path / "bids")

    ended = import_into_data(capfd, tmp_path / "bids")
    again = import_into_data(capfd, tmp_path / "bids")

    dataset = open_dataset(tmp_path / "data", "two_clinics")
    assert (ended.code, again.code, ended.err) == (0, 0, "")
    assert "layout bids, 3 cases" in ended.out
    assert "imported already" in again.out
    assert "left out: 1: no labels: sub-03" in ended.out
    assert dataset.cases() == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
    assert (dataset.labels, dataset.description.licence) == (LABELS, "CC0")
    assert dataset.description.groups == {"sub-01_ses-a": "sub-01", "sub-01_ses-b": "sub-01"}
    assert centre_mm(dataset.label("sub-02"), 3)[0] < -20
    assert digest_tree(tmp_path / "bids") == before


def test_a_json_beside_the_label_map_names_its_organs_as_well(tmp_path: Path, capfd: Captured):
    write_bids(tmp_path / "bids")
    (tmp_path / "bids" / "derivatives" / "organs" / "dseg.tsv").unlink()
    beside = tmp_path / "bids/derivatives/organs/sub-02/ct/sub-02_space-orig_desc-organs_dseg.json"
    write_json(beside, {"LabelMap": {organ: i for i, organ in LABELS.items()}, "SpatialReference": "orig"})

    assert import_into_data(capfd, tmp_path / "bids").code == 0

    assert open_dataset(tmp_path / "data", "two_clinics").labels == LABELS


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "derivatives/organs/dseg.tsv",
            "id\tname\n1\tliver\n",
            "must have the columns index and name, but has id, name",
        ),
        ("derivatives/organs/dseg.tsv", "index\tname\n1\tliver\n1\tspleen\n", "ids must be unique, but 1 came twice"),
        ("derivatives/other/dseg.tsv", "index\tname\n1\tliver\n", "must have one table of organs, but these differ"),
    ],
)
def test_a_table_that_does_not_say_one_thing_is_refused(
    file: str, text: str, message: str, tmp_path: Path, capfd: Captured
):
    write_bids(tmp_path / "bids")
    (tmp_path / "bids" / file).parent.mkdir(exist_ok=True)
    (tmp_path / "bids" / file).write_text(text)

    ended = import_into_data(capfd, tmp_path / "bids")

    assert ended.code == 2
    assert message in ended.err


def test_two_label_maps_of_one_image_are_named(tmp_path: Path, capfd: Captured):
    write_bids(tmp_path / "bids")
    second = tmp_path / "bids" / "derivatives" / "b" / "sub-02" / "ct" / "sub-02_desc-second_dseg.nii.gz"
    save(second, patient(2).labels(LABELS))

    ended = import_into_data(capfd, tmp_path / "bids")

    assert ended.code == 2
    assert "a case must have one label map, but both are of sub-02" in ended.err
