"""The report's figures as SVG and PNG; the same results give the same bytes.

Ink and grid have colours of their own, which the page replaces by its theme's, so that figures follow light and dark.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coordinator.report.dose import Step
from coordinator.report.load import BASE, Dataset, Run
from coordinator.report.results import METRICS, Results, Score

INK = "#23292f"
GRID = "#d5dae0"
COLOURS = ("#0f7bc4", "#d9622b", "#17966f", "#b8569b", "#c08a00", "#4aa3a2", "#7a6bd0", "#8a7a68", "#c23b4b", "#5b8c2a")
MARKERS = {"dice": "x", "surface_dice": "^"}
DPI = 160

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "label quality",
    "svg.image_inline": True,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that was drawn.

    Attributes:
        name: of its files.
        caption: what it shows, in words.
        svg: a whole SVG file.
        png: a whole PNG file.
    """

    name: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        """The SVG as a part of an HTML page: no prologue, the page's colours, names that no other figure has."""
        body = self.svg[self.svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r' xmlns(:xlink)?="[^"]*"', "", body).replace("xlink:href", "href")
        body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", body)
        body = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', body, count=1)
        return body.replace(INK, "currentColor").replace(GRID, "var(--line)")

    def write(self, folder: Path) -> None:
        """Write both files into a folder that exists."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8", newline="\n")
        (folder / f"{self.name}.png").write_bytes(self.png)


def in_domain(run: Run, results: Results, dataset: Dataset) -> Picture | None:
    """Fig. 2: quality of labels against quality of the network trained on them; None where there is no such network."""
    points = {
        version: (quality, model)
        for version in (BASE, *dataset.versions)
        if (quality := results.labels(dataset.name, version)) and (model := results.model(dataset.name, version))
    }
    if not points:
        return None
    with _figure(5.4, 5.2) as figure:
        axes = figure.subplots()
        _scatter(axes, points, _colours(run))
        axes.set_title(dataset.name, loc="left")
        axes.set_xlabel("quality of the labels (%)")
        axes.set_ylabel("network on held-out cases (%)")
        caption = (
            f"{dataset.name}: quality of each label version against quality of the network trained on it, both by the "
            "original labels; × is Dice, △ Surface Dice, dashed: y = x."  # noqa: RUF001 - the paper's sign
        )
        return _picture(f"in-domain-{dataset.name}", caption, figure)


def training_curves(run: Run, dataset: Dataset) -> Picture | None:
    """Loss and, where it was measured, validation Dice of each model over epochs; None where nothing was logged."""
    if run.logs.is_empty() or dataset.name not in run.logs["dataset"]:
        return None
    logs = run.logs.filter(pl.col("dataset") == dataset.name)
    validated = "validation_dice" in logs.columns and logs["validation_dice"].is_not_null().any()
    curves = {"loss": "training loss", **({"validation_dice": "validation Dice"} if validated else {})}
    with _figure(5.0 * len(curves), 3.6) as figure:
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for axes, (column, title) in zip(panels, curves.items(), strict=True):
            _curves(axes, logs.drop_nulls(column), column, _colours(run))
            axes.set_title(f"{dataset.name}: {title}", loc="left")
            axes.set_xlabel("epoch")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
        caption = f"{dataset.name}: {' and '.join(curves.values())} of the network trained on each label version."
        return _picture(f"training-{dataset.name}", caption, figure)


def dose_response(dataset: Dataset, steps: Sequence[Step]) -> Picture | None:
    """How much the network gains against how much the labels do, from each degraded level to the original labels."""
    to_base = sorted((step for step in steps if step.better == BASE), key=lambda step: step.label_gain)
    if not to_base:
        return None
    with _figure(5.4, 3.8) as figure:
        axes = figure.subplots()
        x, y = ([0.0, *(100 * getattr(step, name) for step in to_base)] for name in ("label_gain", "gain"))
        axes.plot(x, y, color=COLOURS[0], linewidth=1.4, marker="o", markersize=4)
        for step in to_base:
            if step.low is not None and step.high is not None:
                axes.plot([100 * step.label_gain] * 2, [100 * step.low, 100 * step.high], color=COLOURS[0], alpha=0.6)
            axes.annotate(
                step.worse, (100 * step.label_gain, 100 * step.gain), (6, -11), textcoords="offset points", fontsize=8.5
            )
        axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55)
        axes.margins(x=0.16)
        axes.set_title(dataset.name, loc="left")
        axes.set_xlabel("labels better by (Dice points)")
        axes.set_ylabel("network better by (Dice points)")
        caption = (
            f"{dataset.name}: dose and response; what the original labels gain over labels made worse on purpose, with "
            "the interval over held-out cases."
        )
        return _picture(f"dose-response-{dataset.name}", caption, figure)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of a size in inches, in our style, whatever the user's is."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield Figure(figsize=(width, height))


def _picture(name: str, caption: str, figure: Figure) -> Picture:
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return Picture(name, caption, svg.getvalue().decode(), png.getvalue())


def _colours(run: Run) -> Mapping[str, str]:
    """The colour of each version, the same in all figures; base is ink."""
    return {BASE: INK} | {version: COLOURS[i % len(COLOURS)] for i, version in enumerate(run.versions)}


def _scatter(axes: Axes, points: Mapping[str, tuple[Score, Score]], colours: Mapping[str, str]) -> None:
    places = {
        version: {metric: (100 * getattr(quality, metric), 100 * getattr(model, metric)) for metric in METRICS}
        for version, (quality, model) in points.items()
    }
    lowest = min(value for markers in places.values() for place in markers.values() for value in place)
    limits = max(lowest - 0.12 * (100 - lowest) - 1, -2), 100 + 0.1 * (100 - lowest) + 1
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.plot(limits, limits, color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55, label="y = x")
    for metric, title in METRICS.items():
        _markers(axes, metric, [], [], INK, title)
    for version, markers in places.items():
        axes.plot(*zip(*markers.values(), strict=True), color=colours[version], linewidth=0.7, alpha=0.3)
        for metric, (x, y) in markers.items():
            _markers(axes, metric, [x], [y], colours[version])
    axes.legend(loc="lower right", fontsize=8.5)
    _name_points(axes, places, colours, limits)


def _markers(axes: Axes, metric: str, x: Sequence[float], y: Sequence[float], colour: str, label: str = "") -> None:
    axes.plot(
        x, y, marker=MARKERS[metric], markersize=6.5, markeredgewidth=1.6, markerfacecolor="none",
        markeredgecolor=colour, linestyle="none", zorder=3, label=label or "_unnamed",
    )  # fmt: skip


def _name_points(
    axes: Axes,
    places: Mapping[str, Mapping[str, tuple[float, float]]],
    colours: Mapping[str, str],
    limits: tuple[float, float],
) -> None:
    """Write each version's name near its first marker, where neither a marker nor another name is."""
    span = limits[1] - limits[0]
    taken = [_box(x, y, 0.032 * span, 0.032 * span) for markers in places.values() for x, y in markers.values()]
    for version, markers in places.items():
        x, y = next(iter(markers.values()))
        width, height = (0.0175 * len(version) + 0.012) * span, 0.036 * span
        spots = [_box(x + i * (0.5 * width + r * span), y + j * r * span, width, height) for r, i, j in _spots()]
        inside = [spot for spot in spots if min(spot) >= limits[0] and max(spot) <= limits[1]]
        box = min(inside or spots, key=lambda spot: sum(_shared(spot, other) for other in taken))
        taken.append(box)
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        far = max(abs(middle[0] - x) - width / 2, abs(middle[1] - y)) > 0.045 * span
        axes.annotate(
            version, (x, y), middle, ha="center", va="center", color=colours[version], fontsize=8.5, zorder=4,
            arrowprops={"arrowstyle": "-", "color": colours[version], "linewidth": 0.6, "alpha": 0.7} if far else None,
        )  # fmt: skip


Box = tuple[float, float, float, float]


def _spots() -> Iterator[tuple[float, float, float]]:
    """Places around a marker, nearest first: distance as a share of the axes, direction along x and y."""
    directions = (
        (1, 0),
        (-1, 0),
        (1, -1),
        (-1, 1),
        (1, 1),
        (-1, -1),
        (0, -1),
        (0, 1),
        (1, -2),
        (-1, 2),
        (1, 2),
        (-1, -2),
    )
    yield from ((radius, i, j) for radius, (i, j) in product((0.026, 0.045, 0.07, 0.1, 0.14), directions))


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _shared(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _curves(axes: Axes, logs: pl.DataFrame, column: str, colours: Mapping[str, str]) -> None:
    """A line a version and seed; only the first seed's has a name."""
    named: Sequence[str] = [version for version in colours if version in logs["version"]]
    for version in named:
        seeds = (
            logs.filter(pl.col("version") == version).sort("seed", "epoch").partition_by("seed", maintain_order=True)
        )
        for i, seed in enumerate(seeds):
            name = version if i == 0 else f"_{version} {i}"
            marker = "o" if seed.height == 1 else ""
            axes.plot(
                seed["epoch"].to_list(), seed[column].to_list(), color=colours[version], label=name, marker=marker,
                linewidth=1.8 if version == BASE else 1.3, alpha=1 if i == 0 else 0.5,
            )  # fmt: skip
