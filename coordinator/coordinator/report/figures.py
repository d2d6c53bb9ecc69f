"""The report's figures as SVG and PNG; the same results give the same bytes.

The page replaces the colours of ink and grid by its theme's, so that figures follow light and dark.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coordinator.report.failed import describe_failed
from coordinator.results.run import Run, RunDataset
from coordinator.verdict.dose import Improvement

INK = "#23292f"
GRID = "#d5dae0"
# Okabe and Ito's palette for colour-blind readers, then dark ones of Tol's; names and dashes tell versions apart too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#332288", "#999933", "#117733")
DASHES: Sequence[Any] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
DPI = 160
WIDE_POINTS = 450

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "label quality",
    "svg.image_inline": True,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # names of cases and organs may hold dollar signs
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
    """A finished figure.

    Attributes:
        name: of its files.
        caption: what it shows.
        svg: content of its SVG file.
        png: content of its PNG file.
        alt: the caption, and the figure's numbers in words, for readers who can't see it.
    """

    name: str
    caption: str
    svg: str
    png: bytes
    alt: str

    @property
    def inline(self) -> str:
        """The SVG as a part of an HTML page: no prologue, the page's colours, ids that no other figure has."""
        body = self.svg[self.svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r' xmlns(:xlink)?="[^"]*"', "", body).replace("xlink:href", "href")
        body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", body)
        body = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', body, count=1)
        return body.replace(INK, "currentColor").replace(GRID, "var(--line)")

    @property
    def wide(self) -> bool:
        """Whether it takes two columns of the page."""
        size = re.search(r'viewBox="0 0 ([\d.]+) ', self.svg)
        return size is not None and float(size[1]) > WIDE_POINTS

    @property
    def data_uri(self) -> str:
        """The PNG as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    def write(self, folder: Path) -> None:
        """Write both files into a folder that exists."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8", newline="\n")
        (folder / f"{self.name}.png").write_bytes(self.png)


def draw_training_curves(run: Run, dataset: RunDataset) -> Picture | None:
    """Draw loss and, where it was measured, validation Dice of each network over epochs; None without logs."""
    if run.training_logs.is_empty() or dataset.name not in run.training_logs["dataset"]:
        return None
    colours = version_colours(run)
    logs = run.training_logs.filter((pl.col("dataset") == dataset.name) & pl.col("version").is_in(list(colours)))
    validated = "validation_dice" in logs.columns and logs["validation_dice"].is_not_null().any()
    curves = {"loss": "training loss", **({"validation_dice": "validation Dice"} if validated else {})}
    with styled_figure(5.0 * len(curves), 3.6) as figure:
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for axes, (column, title) in zip(panels, curves.items(), strict=True):
            _draw_curves(axes, logs.drop_nulls(column), column, colours)
            axes.set_title(f"{dataset.name}: {title}", loc="left")
            axes.set_xlabel("epoch")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 3 * len(curves)), fontsize=8.5)
        caption = (
            f"{dataset.name}: {' and '.join(curves.values())} of the network trained on each label version."
            f"{describe_failed(run, dataset.name, 'Also drawn, though they failed')}"
        )
        return make_picture(f"training-{dataset.name}", caption, figure, alt=f"{caption} {_last_values(logs, curves)}")


def draw_dose_response(run: Run, dataset: RunDataset, improvements: Sequence[Improvement]) -> Picture | None:
    """Draw the network's gain against the labels' gain, from each degraded level to the reference labels."""
    to_reference = sorted((i for i in improvements if i.better == run.reference), key=lambda i: i.label_gain)
    if not to_reference:
        return None
    with styled_figure(5.4, 3.8) as figure:
        axes = figure.subplots()
        x, y = ([0.0, *(100 * getattr(i, name) for i in to_reference)] for name in ("label_gain", "gain"))
        axes.plot(x, y, color=COLOURS[0], linewidth=1.4, marker="o", markersize=4)
        for level in to_reference:
            x_percent, y_percent = 100 * level.label_gain, 100 * level.gain
            if level.low is not None and level.high is not None:
                axes.plot([x_percent] * 2, [100 * level.low, 100 * level.high], color=COLOURS[0], alpha=0.6)
            axes.annotate(level.worse, (x_percent, y_percent), (6, -11), textcoords="offset points", fontsize=8.5)
        axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55)
        axes.margins(x=0.16)
        axes.set_title(dataset.name, loc="left")
        axes.set_xlabel("labels better by (Dice points)")
        axes.set_ylabel("network better by (Dice points)")
        caption = (
            f"{dataset.name}: dose and response. What the reference labels gain over labels made worse on purpose, "
            "with the interval over held-out cases."
        )
        numbers = "; ".join(
            f"{i.worse}: labels {100 * i.label_gain:.1f}, network {100 * i.gain:.1f}" for i in to_reference
        )
        alt = f"{caption} Gains in Dice points, {numbers}."
        return make_picture(f"dose-response-{dataset.name}", caption, figure, alt=alt)


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of a size in inches, in our style and not the user's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield Figure(figsize=(width, height))


def make_picture(name: str, caption: str, figure: Figure, *, alt: str, dpi: int = DPI) -> Picture:
    """Make the picture of a figure that is drawn."""
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return Picture(name, caption, svg.getvalue().decode(), png.getvalue(), alt)


def version_colours(run: Run) -> Mapping[str, str]:
    """Label version -> colour, the same in all figures; the reference is ink, and comes first."""
    return {run.reference: INK} | {version: COLOURS[i % len(COLOURS)] for i, version in enumerate(run.versions)}


def _last_values(logs: pl.DataFrame, curves: Mapping[str, str]) -> str:
    """The last value of each curve, in words."""
    ends = []
    for column, title in curves.items():
        last = (
            logs.drop_nulls(column)
            .sort("version", "fold", "seed", "epoch")
            .group_by("version", maintain_order=True)
            .last()
        )
        values = ", ".join(f"{row['version']} {row[column]:.3g}" for row in last.iter_rows(named=True))
        ends.append(f"At the end, {title}: {values}.")
    return " ".join(ends)


def _draw_curves(axes: Axes, logs: pl.DataFrame, column: str, colours: Mapping[str, str]) -> None:
    """Draw a line for each network; only a version's first is in the legend."""
    for version in [version for version in colours if version in logs["version"]]:
        version_logs = logs.filter(pl.col("version") == version).sort("fold", "seed", "epoch")
        for i, log in enumerate(version_logs.partition_by("fold", "seed", maintain_order=True)):
            name = version if i == 0 else f"_{version} {i}"
            marker = "o" if log.height == 1 else ""
            axes.plot(
                log["epoch"].to_list(), log[column].to_list(), color=colours[version], label=name, marker=marker,
                linewidth=1.8 if version == next(iter(colours)) else 1.3, alpha=1 if i == 0 else 0.5,
                linestyle=DASHES[list(colours).index(version) % len(DASHES)],
            )  # fmt: skip
