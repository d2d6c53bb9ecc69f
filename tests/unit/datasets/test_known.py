"""The descriptions of public datasets that come with the coordinator."""

import pytest

from contract import yamlfiles
from contract.datasets import DatasetDescription
from coordinator.datasets.known import description_file, known_datasets


def known(name: str) -> dict[int, str]:
    return yamlfiles.load(description_file(name), DatasetDescription).labels


@pytest.mark.parametrize("name", known_datasets())
def test_a_known_dataset_is_a_sound_description_of_that_name(name: str) -> None:
    description = yamlfiles.load(description_file(name), DatasetDescription)

    assert description.name == name
    assert all((description.licence, description.citation, description.source))
    assert list(description.labels) == list(range(1, len(description.labels) + 1))


def test_the_datasets_of_the_paper_are_known() -> None:
    counts = {name: len(known(name)) for name in known_datasets()}

    assert counts == {
        "abdomenatlas10": 9, "abdomenct1k": 4, "amos22": 15, "btcv": 13, "flare21": 4, "flare22": 13, "segthor": 4,
        "word": 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [("btcv", 3, 2), ("amos22", 3, 2), ("word", 3, 4), ("flare22", 13, 2), ("abdomenatlas10", 3, 4)],
)
def test_kidneys_are_on_their_side(name: str, left: int, right: int) -> None:
    assert (known(name)[left], known(name)[right]) == ("kidney_left", "kidney_right")
