"""A dataset that an expert has labelled in part, and its plan."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.labelsets import make_relabelled_phantom
from helpers.planning import NamedCode

from coordinator.study.file import load_study
from coordinator.study.pipeline import make_plan
from coordinator.study.steps import Plan
from coordinator.tools.finding import find_tools


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The folder of a dataset of six cases, of which an expert has labelled the first four."""
    make_relabelled_phantom(tmp_path / "data" / "toy", cases=6, corrected=4, shape=(16, 16, 8))
    return tmp_path / "data" / "toy"


@pytest.fixture
def plan(toy: Path) -> Callable[..., Plan]:
    def make(text: str) -> Plan:
        file = toy.parents[1] / "study.yaml"
        datasets = "" if "datasets:" in text else "datasets: [toy]\n"
        file.write_text(f"name: s\n{datasets}{text}", encoding="utf-8")
        return make_plan(load_study(file, find_tools()), runner=NamedCode())

    return make
