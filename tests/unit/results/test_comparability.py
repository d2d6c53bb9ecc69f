"""Two networks are compared only where nothing but their label version differs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from coordinator.results.comparability import find_differences

IDENTITY: Mapping[str, Any] = {
    "config": {"labels": "aaa", "store": "sss", "settings": {"seed": 0, "epochs": 10, "learning_rate": 1e-3}},
    "environment": {"threads": 2, "device": "cpu", "torch": "2.13.0"},
    "plan": {"patch": [128, 128, 128]},
    "failure": None,
}


def model(folder: Path, changes: Mapping[str, Any]) -> Path:
    """A network's folder whose identity differs in dotted names."""
    content = json.loads(json.dumps(IDENTITY))
    for name, value in changes.items():
        *path, last = name.split(".")
        place = content
        for key in path:
            place = place[key]
        place[last] = value
    folder.mkdir()
    (folder / "identity.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("changes", [{}, {"config.labels": "bbb"}, {"failure": "did not converge"}])
def test_networks_of_two_label_versions_may_be_compared(changes: dict[str, Any], tmp_path: Path) -> None:
    assert find_differences(model(tmp_path / "one", changes), model(tmp_path / "other", {})) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config.settings.epochs", 20, "settings.epochs: 20, but 10 for the other"),
        ("config.settings.seed", 1, "settings.seed: 1, but 0 for the other"),
        ("config.store", "ttt", "store: 'ttt', but 'sss' for the other"),
        ("environment.threads", 4, "threads: 4, but 2 for the other"),
        ("environment.torch", "2.12.0", "torch: '2.12.0', but '2.13.0' for the other"),
        ("plan.patch", [96, 96, 96], "patch: [96, 96, 96], but [128, 128, 128] for the other"),
    ],
)
def test_every_other_difference_is_named(name: str, value: object, message: str, tmp_path: Path) -> None:
    changed = model(tmp_path / "one", {name: value, "config.labels": "bbb"})

    assert find_differences(changed, model(tmp_path / "other", {})) == [message]


def test_a_setting_that_one_network_lacks_is_a_difference(tmp_path: Path) -> None:
    newer = model(tmp_path / "one", {"config.settings.augment": True})

    assert find_differences(newer, model(tmp_path / "other", {})) == ["settings.augment: True, but None for the other"]


def test_a_network_that_is_not_there_is_no_difference(tmp_path: Path) -> None:
    assert find_differences(tmp_path / "none", model(tmp_path / "other", {})) == []
