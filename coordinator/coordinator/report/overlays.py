"""Figures like the paper's Fig. 1: a label map's outline in yellow over the reference labels in green, on the CT.

What is shown is chosen by rule, never by hand:

    extremes   the worst, the median and the best held-out case of all networks, by Dice
    versions   all label versions of the case on which their Dice differs most
    slice      the axial one in which most voxels differ from the reference labels; or else has most organ

Without networks the extremes are chosen among label versions. Yellow is a line and green an area, so that they can be
told apart without seeing colours.
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
from coordinator.report.figures import Picture, make_picture, styled_figure
from coordinator.results.cases import LABELS, NETWORK
from coordinator.results.run import Run, RunDataset
from coordinator.study.steps import dataset_folder

GREEN, YELLOW = "#00b478", "#ffe119"
SOFT_TISSUE_HU = (-160, 240)
MARGIN_MM = 25.0
FINE = 4
"""Points for each voxel when label maps are drawn, so that outlines follow the voxels' edges."""
PANEL_INCHES = 2.6
TITLE_INCHES = 0.5
COLUMNS = 4
DPI = 150


@dataclass(frozen=True, slots=True)
class Choice:
    """A label map to show: of a label version, or predicted by a network.

    Attributes:
        rank: "worst", "median", "best" or nothing.
        what: LABELS or NETWORK.
        version: the label version, or that which the network was trained on.
        seed: of the network; None for labels.
        case: its name.
        dice: in [0, 1].
    """

    rank: str
    what: str
    version: str
    seed: int | None
    case: str
    dice: float

    @property
    def title(self) -> str:
        """Two lines above a panel."""
        rank = f"{self.rank}, " if self.rank else ""
        return f"{rank}{self.what}: {self.version}\n{self.case}, Dice {100 * self.dice:.1f}"

    def file(self, run: Path, dataset: RunDataset) -> Path:
        """The file of the label map."""
        if self.what == NETWORK:
            folder = f"{dataset.network_folder(self.case)}/6-predictions/{self.version}/seed-{self.seed}"
        else:
            folder = f"{dataset_folder(dataset.name)}/2-labels/{self.version}"
        return run / folder / f"{self.case}{SUFFIX}"


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What is drawn of a choice: one axial slice, x to the patient's left and y to the back, cropped to organs.

    Attributes:
        choice: what it shows.
        image: (rows, columns) in HU.
        reference: (rows, columns) reference labels.
        labels: (rows, columns) of the choice.
        spacing_mm: along x and y.
    """

    choice: Choice
    image: NDArray[np.float32]
    reference: LabelMap
    labels: LabelMap
    spacing_mm: tuple[float, float]

    @property
    def aspect(self) -> float:
        """Height of the slice as a share of its width."""
        rows, columns = self.image.shape
        return float(rows * self.spacing_mm[1] / (columns * self.spacing_mm[0]))


def draw_overlays(folder: Path, run: Run, dataset: RunDataset, scores: pl.DataFrame) -> tuple[list[Picture], list[str]]:
    """Draw the overlays of a dataset.

    Args:
        folder: the run folder.
        run: what was read from it.
        dataset: whose cases.
        scores: of `results.cases.case_scores`.

    Returns:
        The pictures that could be drawn, and a sentence on each that could not.
    """
    pictures, notes = [], []
    extremes, versions = choose_extremes(scores), choose_disagreement(dataset, scores)
    for kind, choices, groups in (("extremes", extremes, [[c] for c in extremes]), ("versions", versions, [versions])):
        if not choices:
            continue
        try:
            panels = [panel for group in groups for panel in _read_panels(folder, run, dataset, group)]
        except (CaseError, OSError) as error:
            cases = ", ".join(dict.fromkeys(choice.case for choice in choices))
            notes.append(
                f"{dataset.name}: no overlay of {cases}: images or label maps are missing or unreadable: "
                f"{_hide_places(str(error), folder, run.data)}"
            )
            continue
        pictures.append(_draw(f"overlay-{kind}-{dataset.name}", _caption(dataset, kind, choices), panels))
    return pictures, notes


def _hide_places(text: str, folder: Path, data: Path | None) -> str:
    """The text without where the folders are: the same results give the same report, wherever it is made."""
    hidden = text.replace(str(folder), "RUN")
    return hidden.replace(str(data), "DATA") if data else hidden


def choose_extremes(scores: pl.DataFrame) -> list[Choice]:
    """Choose the worst, the median (of two the lower) and the best by Dice, of networks or else of label versions."""
    what = NETWORK if NETWORK in scores["what"] else LABELS
    ranked = scores.filter(pl.col("what") == what).drop_nulls("dice").sort("dice", "version", "seed", "case")
    if ranked.is_empty():
        return []
    ranks = {0: "worst", (ranked.height - 1) // 2: "median", ranked.height - 1: "best"}
    if ranked.height == 1:
        ranks = {0: ""}
    return [_make_choice(ranked.row(i, named=True), rank) for i, rank in sorted(ranks.items())]


def choose_disagreement(dataset: RunDataset, scores: pl.DataFrame) -> list[Choice]:
    """Choose all label versions of the case on which their Dice differs most; none where no case has two versions."""
    labels = scores.filter(pl.col("what") == LABELS).drop_nulls("dice")
    ranges = (
        labels.group_by("case", maintain_order=True)
        .agg((pl.col("dice").max() - pl.col("dice").min()).round(6).alias("range"), pl.len().alias("versions"))
        .filter(pl.col("versions") > 1)
        .sort(["range", "case"], descending=[True, False])
    )
    if ranges.is_empty():
        return []
    rows = {row["version"]: row for row in labels.filter(pl.col("case") == ranges["case"][0]).iter_rows(named=True)}
    return [_make_choice(rows[version], "") for version in dataset.versions if version in rows]


def _make_choice(row: dict[str, object], rank: str) -> Choice:
    return Choice(rank, str(row["what"]), str(row["version"]), row["seed"], str(row["case"]), row["dice"])  # type: ignore[arg-type]


def _caption(dataset: RunDataset, kind: str, choices: Sequence[Choice]) -> str:
    colours = "Yellow line: the label map; green area: the reference labels. The patient's right is on the left."
    if kind == "versions":
        return (
            f"{dataset.name}: the label versions of {choices[0].case}, the case on which their Dice differs most, in "
            f"the axial slice in which most voxels differ. {colours}"
        )
    compared = "networks on held-out cases" if choices[0].what == NETWORK else "label versions"
    return (
        f"{dataset.name}: the worst, the median and the best of all {compared} by Dice, each in the axial slice in "
        f"which most voxels differ. {colours}"
    )


def _read_panels(folder: Path, run: Run, dataset: RunDataset, choices: Sequence[Choice]) -> Iterator[Panel]:
    """Read the image and label maps of one case, and show all in one slice."""
    if run.data is None:
        raise FileNotFoundError("the plan does not name the folder of images")
    case = choices[0].case
    image = read_image(run.data / dataset.name / "images" / f"{case}{SUFFIX}")
    reference_folder = folder / dataset_folder(dataset.name) / "2-labels" / run.reference
    reference = read_labels(reference_folder / f"{case}{SUFFIX}", image)
    maps = [read_labels(choice.file(folder, dataset), image) for choice in choices]
    k = _choose_slice(reference, maps)
    labelled = np.any([labels[:, :, k] > 0 for labels in (reference, *maps)], axis=0)
    for choice, labels in zip(choices, maps, strict=True):
        yield _make_panel(choice, image, (reference[:, :, k], labels[:, :, k], labelled), k)


def _choose_slice(reference: LabelMap, maps: Sequence[LabelMap]) -> int:
    """Choose the axial slice in which most voxels differ, of equals the first; where none do, that with most organ."""
    differing = sum(np.count_nonzero(labels != reference, axis=(0, 1)) for labels in maps)
    counts = differing if np.any(differing) else np.count_nonzero(reference, axis=(0, 1))
    return int(np.argmax(counts))


def _make_panel(choice: Choice, image: Volume, planes: tuple[LabelMap, LabelMap, NDArray[np.bool_]], k: int) -> Panel:
    """Crop slice k to its labelled part, and turn it to how radiologists see it.

    Args:
        choice: what is shown.
        image: (X, Y, Z) of the case.
        planes: (X, Y) reference labels, labels of the choice, and where any label map of the case has labels.
        k: the slice.
    """
    reference, labels, labelled = planes
    spacing = image.spacing_mm[:2]
    x, y = (_crop(np.flatnonzero(labelled.any(axis=1 - i)), MARGIN_MM / spacing[i], labelled.shape[i]) for i in (0, 1))
    # RAS+ voxels grow to the right and to the front; radiologists look from the feet, with the front on top.
    plane = image.array[x, y, k].astype(np.float32)
    return Panel(choice, plane[::-1, ::-1].T, reference[x, y][::-1, ::-1].T, labels[x, y][::-1, ::-1].T, spacing)


def _crop(places: NDArray[np.intp], margin: float, size: int) -> slice:
    """From the first to the last place, with a margin in voxels; everything where there is none."""
    if not places.size:
        return slice(0, size)
    return slice(max(int(places[0] - margin), 0), min(int(places[-1] + margin) + 2, size))


def _draw(name: str, caption: str, panels: Sequence[Panel]) -> Picture:
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // columns)
    alt = f"{caption} {'; '.join(panel.choice.title.replace(chr(10), ', ') for panel in panels)}."
    height = PANEL_INCHES * max(panel.aspect for panel in panels) + TITLE_INCHES
    with styled_figure(PANEL_INCHES * columns, height * rows) as figure:
        all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(all_axes, panels, strict=False):
            _draw_panel(axes, panel)
        for axes in all_axes[len(panels) :]:
            axes.set_visible(False)
        return make_picture(name, caption, figure, alt=alt, dpi=DPI)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    rows, columns = panel.image.shape
    extent = (0, columns * panel.spacing_mm[0], rows * panel.spacing_mm[1], 0)
    low, high = SOFT_TISSUE_HU
    axes.imshow(panel.image, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="bilinear")
    for organ in np.unique(panel.reference[panel.reference > 0]):
        _draw_organ(axes, panel.reference == organ, extent, filled=True)
    for organ in np.unique(panel.labels[panel.labels > 0]):
        _draw_organ(axes, panel.labels == organ, extent, filled=False)
    axes.set_title(panel.choice.title, fontsize=8.5, fontweight="normal", loc="left")
    axes.grid(visible=False)
    axes.set_axis_off()


def _draw_organ(
    axes: Axes, mask: NDArray[np.bool_], extent: tuple[float, float, float, float], *, filled: bool
) -> None:
    """Draw one organ; an empty frame around the mask closes outlines at the slice's border."""
    fine = np.pad(np.kron(mask, np.ones((FINE, FINE))), 1)
    step_x, step_y = extent[1] / (mask.shape[1] * FINE), extent[2] / (mask.shape[0] * FINE)
    x = (np.arange(fine.shape[1]) - 0.5) * step_x
    y = (np.arange(fine.shape[0]) - 0.5) * step_y
    if filled:
        axes.contourf(x, y, fine, levels=[0.5, 1.5], colors=[GREEN], alpha=0.35)
    axes.contour(x, y, fine, levels=[0.5], colors=[GREEN if filled else YELLOW], linewidths=0.8 if filled else 1.1)
