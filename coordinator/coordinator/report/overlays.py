"""Figures like the paper's Fig. 1: a label map's outline in yellow over the original labels in green, on the CT.

What is shown is chosen by rule, never by hand:

    networks   the worst, the median and the best held-out case of all networks, by Dice
    versions   the case on whose label versions Dice differs most, with all its versions
    slice      the axial one in which most voxels differ from the original labels; of none, the one with most organ

Without networks the first three are chosen among label versions. Yellow is a line and green an area, so that the two
can be told apart without seeing colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from numpy.typing import NDArray

from contract.datasets import SUFFIX
from contract.errors import CaseError
from contract.labelmaps import LabelMap
from contract.volumes import Volume, read_image, read_labels
from coordinator.report.cases import LABELS, NETWORK
from coordinator.report.figures import Picture, picture, styled_figure
from coordinator.results.run import Dataset
from coordinator.study.steps import BASE

GREEN, YELLOW = "#00b478", "#ffe119"
SOFT_TISSUE_HU = (-160, 240)
MARGIN_MM = 25.0
FINE = 4
"""Label maps are drawn with so many points a voxel: outlines follow the voxels' edges."""
PANEL_INCHES = 2.6
TITLE_INCHES = 0.5
COLUMNS = 4
DPI = 150


@dataclass(frozen=True, slots=True)
class Choice:
    """A label map to be shown: of a label version, or predicted by the network of that version and seed."""

    why: str
    what: str
    version: str
    seed: int | None
    case: str
    dice: float

    @property
    def title(self) -> str:
        """Two lines above a panel."""
        whose = f"network: {self.version}" if self.what == NETWORK else f"labels: {self.version}"
        return f"{self.why}{whose}\n{self.case}, Dice {100 * self.dice:.1f}"

    def file(self, run: Path, dataset: str) -> Path:
        """Where the label map lies."""
        network = f"6-predictions/{self.version}/seed-{self.seed}"
        place = network if self.what == NETWORK else f"2-labels/{self.version}"
        return run / dataset / place / f"{self.case}{SUFFIX}"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A choice with what is drawn: one axial slice, x to the patient's left and y to the back, cropped to organs."""

    choice: Choice
    image: NDArray[np.float32]
    truth: LabelMap
    labels: LabelMap
    millimetres: tuple[float, float]

    @property
    def height(self) -> float:
        """Of the slice, as a share of its width."""
        rows, columns = self.image.shape
        return float(rows * self.millimetres[1] / (columns * self.millimetres[0]))


def overlays(
    folder: Path, data: Path | None, dataset: Dataset, scores: pl.DataFrame
) -> tuple[list[Picture], list[str]]:
    """Draw the overlays of a dataset.

    Args:
        folder: the run folder.
        data: the folder of dataset folders; None where the plan doesn't say.
        dataset: whose cases.
        scores: of `cases.per_case`.

    Returns:
        The pictures that could be drawn, and a sentence on each that could not.
    """
    pictures, notes = [], []
    single, together = extremes(scores), disagreement(dataset, scores)
    for kind, choices, groups in (("extremes", single, [[c] for c in single]), ("versions", together, [together])):
        if not choices:
            continue
        try:
            shown = [panel for group in groups for panel in _read(folder, data, dataset, group)]
        except (CaseError, OSError):
            cases = ", ".join(dict.fromkeys(choice.case for choice in choices))
            notes.append(f"{dataset.name}: no overlay of {cases}: the images or label maps can't be read any more.")
            continue
        pictures.append(_draw(f"overlay-{kind}-{dataset.name}", _caption(dataset, kind, choices), shown))
    return pictures, notes


def extremes(scores: pl.DataFrame) -> list[Choice]:
    """The worst, the median (of two the lower) and the best by Dice, of networks or else of label versions."""
    what = NETWORK if NETWORK in scores["what"] else LABELS
    ranked = scores.filter(pl.col("what") == what).drop_nulls("dice").sort("dice", "version", "seed", "case")
    if ranked.is_empty():
        return []
    places = {0: "worst", (ranked.height - 1) // 2: "median", ranked.height - 1: "best"}
    if ranked.height == 1:
        places = {0: ""}
    return [_choice(ranked.row(i, named=True), f"{why}, " if why else "") for i, why in sorted(places.items())]


def disagreement(dataset: Dataset, scores: pl.DataFrame) -> list[Choice]:
    """All label versions of the case on which their Dice differs most; nothing where no case has two versions."""
    labels = scores.filter(pl.col("what") == LABELS).drop_nulls("dice")
    ranges = (
        labels.group_by("case")
        .agg((pl.col("dice").max() - pl.col("dice").min()).round(6).alias("range"), pl.len().alias("versions"))
        .filter(pl.col("versions") > 1)
        .sort(["range", "case"], descending=[True, False])
    )
    if ranges.is_empty():
        return []
    rows = {row["version"]: row for row in labels.filter(pl.col("case") == ranges["case"][0]).iter_rows(named=True)}
    return [_choice(rows[version], "") for version in dataset.versions if version in rows]


def _choice(row: dict[str, object], why: str) -> Choice:
    return Choice(why, str(row["what"]), str(row["version"]), row["seed"], str(row["case"]), row["dice"])  # type: ignore[arg-type]


def _caption(dataset: Dataset, kind: str, choices: Sequence[Choice]) -> str:
    colours = "Yellow line: the label map; green area: the original labels. The patient's right is on the left."
    if kind == "versions":
        return (
            f"{dataset.name}: the case on whose label versions Dice differs most ({choices[0].case}), in the axial "
            f"slice in which most voxels differ. {colours}"
        )
    who = "networks on held-out cases" if choices[0].what == NETWORK else "label versions"
    return (
        f"{dataset.name}: the worst, the median and the best of all {who} by Dice, each in the axial slice in which "
        f"most voxels differ. {colours}"
    )


def _read(folder: Path, data: Path | None, dataset: Dataset, choices: Sequence[Choice]) -> Iterator[Shown]:
    """Read label maps of one case and what is under them; all are shown in one slice."""
    if data is None:
        raise FileNotFoundError("the plan doesn't say where images are")
    case = choices[0].case
    image = read_image(data / dataset.name / "images" / f"{case}{SUFFIX}")
    truth = read_labels(folder / dataset.name / "2-labels" / BASE / f"{case}{SUFFIX}", image)
    maps = [read_labels(choice.file(folder, dataset.name), image) for choice in choices]
    k = _slice(truth, maps)
    extent = np.any([labels[:, :, k] > 0 for labels in (truth, *maps)], axis=0)
    for choice, labels in zip(choices, maps, strict=True):
        yield _shown(choice, image, (truth[:, :, k], labels[:, :, k], extent), k)


def _slice(truth: LabelMap, maps: Sequence[LabelMap]) -> int:
    """The axial slice in which most voxels differ; of equals the first; where none does, the one with most organ."""
    differing = sum(np.count_nonzero(labels != truth, axis=(0, 1)) for labels in maps)
    counts = differing if np.any(differing) else np.count_nonzero(truth, axis=(0, 1))
    return int(np.argmax(counts))


def _shown(choice: Choice, image: Volume, maps: tuple[LabelMap, LabelMap, NDArray[np.bool_]], k: int) -> Shown:
    """Crop slice k to where there is any label, and turn it to how radiologists see it."""
    truth, labels, extent = maps
    spacing = image.spacing_mm[:2]
    x, y = (_range(np.flatnonzero(extent.any(axis=1 - i)), MARGIN_MM / spacing[i], extent.shape[i]) for i in (0, 1))
    # RAS+ voxels grow to the right and to the front; radiologists look from the feet, with the front on top.
    plane = image.array[x, y, k].astype(np.float32)
    return Shown(choice, plane[::-1, ::-1].T, truth[x, y][::-1, ::-1].T, labels[x, y][::-1, ::-1].T, spacing)


def _range(places: NDArray[np.intp], margin: float, size: int) -> slice:
    """From the first to the last place, with a margin in voxels; everything where there is none."""
    if not places.size:
        return slice(0, size)
    return slice(max(int(places[0] - margin), 0), min(int(places[-1] + margin) + 2, size))


def _draw(name: str, caption: str, shown: Sequence[Shown]) -> Picture:
    columns = min(len(shown), COLUMNS)
    rows = -(-len(shown) // columns)
    alt = f"{caption} {'; '.join(panel.choice.title.replace(chr(10), ', ') for panel in shown)}."
    height = PANEL_INCHES * max(panel.height for panel in shown) + TITLE_INCHES
    with styled_figure(PANEL_INCHES * columns, height * rows) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(panels, shown, strict=False):
            _panel(axes, panel)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        return picture(name, caption, figure, alt=alt, dpi=DPI)


def _panel(axes: Axes, panel: Shown) -> None:
    rows, columns = panel.image.shape
    extent = (0, columns * panel.millimetres[0], rows * panel.millimetres[1], 0)
    low, high = SOFT_TISSUE_HU
    axes.imshow(panel.image, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="bilinear")
    for organ in np.unique(panel.truth[panel.truth > 0]):
        _region(axes, panel.truth == organ, extent, filled=True)
    for organ in np.unique(panel.labels[panel.labels > 0]):
        _region(axes, panel.labels == organ, extent, filled=False)
    axes.set_title(panel.choice.title, fontsize=8.5, fontweight="normal", loc="left")
    axes.grid(visible=False)
    axes.set_axis_off()


def _region(axes: Axes, mask: NDArray[np.bool_], extent: tuple[float, float, float, float], *, filled: bool) -> None:
    """Draw one organ; a frame of nothing around the mask closes outlines at the slice's border."""
    fine = np.pad(np.kron(mask, np.ones((FINE, FINE))), 1)
    step_x, step_y = extent[1] / (mask.shape[1] * FINE), extent[2] / (mask.shape[0] * FINE)
    x = (np.arange(fine.shape[1]) - 0.5) * step_x
    y = (np.arange(fine.shape[0]) - 0.5) * step_y
    if filled:
        axes.contourf(x, y, fine, levels=[0.5, 1.5], colors=[GREEN], alpha=0.35)
    axes.contour(x, y, fine, levels=[0.5], colors=[GREEN if filled else YELLOW], linewidths=0.8 if filled else 1.1)
