"""Overlays: what is chosen, what is drawn, and what is missing."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.reports import make_report
from helpers.runs import SHAPE, SHIFTS, make_run, save

from coordinator.report import overlays
from coordinator.report.figures import make_picture, styled_figure
from coordinator.results.cases import case_scores
from coordinator.results.load import load_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run as it is, for tests that only look."""
    return make_report(make_run(tmp_path_factory.mktemp("made")))


def test_overlays_are_the_worst_the_median_and_the_best_of_all_networks(run: Path):
    loaded = load_run(run)
    scores = case_scores(loaded, loaded.datasets[0])

    chosen = overlays.choose_extremes(scores)

    values = sorted(scores.filter(pl.col("what") == "network")["dice"])
    assert [c.dice for c in chosen] == [values[0], values[len(values) // 2], values[-1]]
    assert [c.rank for c in chosen] == ["worst", "median", "best"]


def test_the_case_of_most_disagreement_is_shown_with_all_its_versions(run: Path):
    loaded = load_run(run)

    chosen = overlays.choose_disagreement(loaded.datasets[0], case_scores(loaded, loaded.datasets[0]))

    assert [(c.case, c.version) for c in chosen] == [("case_4", version) for version in SHIFTS]


def test_the_slice_shown_is_the_one_in_which_most_voxels_differ():
    truth, labels = np.zeros((2, 6, 5, 4), np.uint8)
    truth[:4, :4, 0] = 1  # most organ, but all alike
    labels[:4, :4, 0] = 1
    labels[1:3, 2, 2] = 1
    labels[1, 1, 3] = 1

    assert overlays._choose_slice(truth, [labels]) == 2
    assert overlays._choose_slice(truth, [truth]) == 0


def test_overlays_show_the_patient_s_right_on_the_left_and_the_front_on_top(run: Path):
    loaded = load_run(run)
    dataset = loaded.datasets[0]
    choice = overlays.choose_disagreement(dataset, case_scores(loaded, dataset))[:1]

    panel = next(overlays._read_panels(run, loaded, dataset, choice))

    rows, columns = (
        {organ: np.argwhere(panel.reference == organ).mean(axis=0)[axis] for organ in (1, 2, 3)} for axis in (0, 1)
    )
    assert columns[1] < columns[2]  # the liver is on the right
    assert rows[3] < rows[2] < rows[1]  # in this phantom, in front of it the spleen and then the aorta


def test_what_overlays_show_is_yellow_and_green(made: Path):
    svg = (made / "figures/overlay-extremes-word.svg").read_text(encoding="utf-8")
    assert overlays.YELLOW in svg and overlays.GREEN in svg
    html = (made / "index.html").read_text(encoding="utf-8")
    images = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', html)
    assert len(images) == 2
    assert "worst, network: medsam, case_2, Dice" in images[0]


def test_images_that_were_moved_are_said_to_be_gone(run: Path):
    (run.parents[1] / "data").rename(run.parents[1] / "moved")

    out = make_report(run)

    html = (out / "index.html").read_text(encoding="utf-8")
    assert "word: no overlay of case_4: images or label maps are missing or unreadable: " in html
    assert list((out / "figures").glob("overlay*")) == []


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b broken", b"no gzip"])
def test_a_label_map_that_is_broken_costs_its_overlay_only(run: Path, content: bytes):
    (run / "datasets/word/2-labels/medsam/case_4.nii.gz").write_bytes(content)

    out = make_report(run)

    assert [file.name for file in sorted((out / "figures").glob("overlay*.png"))] == ["overlay-extremes-word.png"]


def test_label_maps_without_any_label_are_drawn(run: Path):
    for place in run.glob("word/*/**/case_4.nii.gz"):
        save(place, np.zeros(SHAPE, np.uint8))

    assert (make_report(run) / "figures/overlay-versions-word.png").is_file()


def test_a_name_with_dollar_signs_is_drawn_as_it_is_and_not_as_a_formula() -> None:
    with styled_figure(2, 2) as figure:
        figure.subplots().set_title(r"a$\frac$b")
        picture = make_picture("x", "x", figure, alt="x", dpi=50)

    assert r"a$\frac$b" in picture.svg
