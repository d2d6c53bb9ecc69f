"""Each network's label ids are found by its structures' names."""

import json
from pathlib import Path

import pytest
from cads_tool.parts import MODEL, NEEDS, choose_numbers, read_parts

from contract.errors import UsageError

NETWORKS = range(551, 560)
LABELS = {i: f"structure {i}" for i in range(1, 28)}


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    """Nine networks with three structures each."""
    for k, number in enumerate(NETWORKS):
        names = {"background": 0, **{f"structure {3 * k + i}": i for i in (1, 2, 3)}}
        write_names(tmp_path / str(number), names)
    return {str(number): tmp_path / str(number) for number in NETWORKS}


def write_names(folder: Path, labels: object) -> None:
    (folder / MODEL).mkdir(parents=True, exist_ok=True)
    (folder / MODEL / "dataset.json").write_text(json.dumps({"labels": labels}))


def test_ids_go_on_from_network_to_network(weights: dict[str, Path]):
    parts = read_parts(weights, LABELS)

    assert [(part.number, part.offset) for part in parts] == [(n, 3 * k) for k, n in enumerate(NETWORKS)]
    assert parts[1].folder == weights["552"] / MODEL


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "structure 4": 1, "structure 6": 2, "structure 5": 3},
        {"background": 0, "structure 4": 1, "structure 5": 2, "lung": 3},
        {"background": 0, "structure 4": [1, 2], "structure 5": 2, "structure 6": 3},
    ],
)
def test_other_structures_than_the_manifests_are_refused(weights: dict[str, Path], labels: object):
    write_names(weights["552"], labels)

    with pytest.raises(UsageError, match=r"dataset\.json: structures must be those of the tool's manifest"):
        read_parts(weights, LABELS)


def test_structures_that_no_network_has_are_refused(weights: dict[str, Path]):
    with pytest.raises(UsageError, match="networks must have 28 structures, but have 27"):
        read_parts(weights, {**LABELS, 28: "structure 28"})


@pytest.mark.parametrize("content", ["", "[]", '{"labels": 3}', "{}"])
def test_a_file_without_names_is_refused(weights: dict[str, Path], content: str):
    (weights["551"] / MODEL / "dataset.json").write_text(content)

    with pytest.raises(UsageError, match="must name the network's structures, but"):
        read_parts(weights, LABELS)


def test_networks_are_chosen_by_their_numbers():
    assert choose_numbers("all") == set(NETWORKS)
    assert choose_numbers("556,551") == {551, 556}


def test_networks_that_others_need_come_before_them():
    assert all(needed < number for number, others in NEEDS.items() for needed in others)
