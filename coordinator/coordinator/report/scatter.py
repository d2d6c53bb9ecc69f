"""Fig. 2: quality of labels against quality of the networks trained on them; cluttered areas are enlarged beside it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import dist

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from coordinator.report.failed import describe_failed
from coordinator.report.figures import INK, Picture, make_picture, styled_figure, version_colours
from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import METRICS, MeanScore, Results

MARKERS = {"dice": "x", "surface_dice": "^"}
NEAR = 0.045
"""Share of the axes: markers nearer than this almost touch, and no name fits between them."""
MOST_ENLARGED = 0.36
"""Share of the axes: a wider area is not enlarged."""
LEAST_ENLARGED_PERCENT = 1.0

Places = Mapping[str, Mapping[str, tuple[float, float]]]
"""Label version -> metric -> place of its marker in percent: quality of the labels, quality of the network."""
Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def draw_scatter(run: Run, results: Results, dataset: RunDataset) -> Picture | None:
    """Draw Fig. 2: quality of labels against quality of the network trained on them; None without networks."""
    points = {
        version: (quality, model)
        for version in (run.reference, *dataset.versions)
        if (quality := results.labels(dataset.name, version)) and (model := results.model(dataset.name, version))
    }
    if not points:
        return None
    zooms = [] if len(points) < 2 else find_clutter(_places(points))
    with styled_figure(9.0 if zooms else 5.4, 5.2) as figure:
        main: FigureBase = figure
        beside: FigureBase | None = None
        if zooms:
            main, beside = figure.subfigures(1, 2, squeeze=False, width_ratios=(5.4, 3.4))[0]
        axes = main.subplots()
        _draw_main(axes, _places(points), version_colours(run), zooms)
        axes.set_title(dataset.name, loc="left")
        axes.set_xlabel("quality of the labels (%)")
        axes.set_ylabel("network on held-out cases (%)")
        if beside is not None:
            _draw_insets(axes, beside, _places(points), version_colours(run), zooms)
        enlarged = " Framed areas are enlarged on the right." if zooms else ""
        caption = (
            f"{dataset.name}: quality of each label version (all cases) against that of the network trained on it "
            "(held-out cases), both scored against the reference labels. "
            f"× is Dice, △ Surface Dice, the dashed line y = x.{enlarged}"  # noqa: RUF001 - the paper's sign
            f"{describe_failed(run, dataset.name)}"
        )
        return make_picture(f"in-domain-{dataset.name}", caption, figure, alt=f"{caption} {_describe_points(points)}")


def _places(points: Mapping[str, tuple[MeanScore, MeanScore]]) -> Places:
    return {
        version: {metric: (100 * getattr(quality, metric), 100 * getattr(model, metric)) for metric in METRICS}
        for version, (quality, model) in points.items()
    }


def _limits(places: Places) -> tuple[float, float]:
    """Of both axes: a little more than from the lowest number to 100."""
    lowest = min(value for markers in places.values() for place in markers.values() for value in place)
    return max(lowest - 0.12 * (100 - lowest) - 1, -2), 100 + 0.1 * (100 - lowest) + 1


def _draw_main(axes: Axes, places: Places, colours: Mapping[str, str], zooms: Sequence[Box]) -> None:
    limits = _limits(places)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.plot(limits, limits, color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55, label="y = x")
    for metric, title in METRICS.items():
        _draw_markers(axes, metric, [], [], INK, title)
    _draw_versions(axes, places, colours)
    axes.legend(loc="lower right", fontsize=8.5)
    in_zooms = {v for v, markers in places.items() if any(_is_inside(z, m) for z in zooms for m in markers.values())}
    _write_names(axes, {v: m for v, m in places.items() if v not in in_zooms}, places, limits)


def _draw_versions(axes: Axes, places: Places, colours: Mapping[str, str]) -> None:
    for version, markers in places.items():
        axes.plot(*zip(*markers.values(), strict=True), color=colours[version], linewidth=0.7, alpha=0.3)
        for metric, (x, y) in markers.items():
            _draw_markers(axes, metric, [x], [y], colours[version])


def find_clutter(places: Places) -> list[Box]:
    """Find the areas to enlarge: where markers are so near that neither they nor their names can be told apart.

    Markers nearer than a share of the axes form a group, and so do chains of them. A group of two versions or more is
    clutter. Where its square would be so large that enlarging gains little, the share is halved.

    Returns:
        At most two squares as (left, bottom, right, top) in percent, of most markers first.
    """
    limits = _limits(places)
    span = limits[1] - limits[0]
    markers = [(version, place) for version, by_metric in places.items() for place in by_metric.values()]
    squares: list[tuple[int, Box]] = []
    waiting = [(markers, NEAR)]
    while waiting:
        group, share = waiting.pop()
        for members in _group_neighbours(group, share * span):
            if len({version for version, _ in members}) < 2:
                continue
            square = _square([place for _, place in members])
            if square[2] - square[0] <= MOST_ENLARGED * span:
                squares.append((len(members), square))
            elif share > NEAR / 8:
                waiting.append((members, share / 2))
    return [square for _, square in sorted(squares, key=lambda item: (-item[0], item[1]))[:2]]


def _group_neighbours(
    markers: Sequence[tuple[str, tuple[float, float]]], distance: float
) -> list[list[tuple[str, tuple[float, float]]]]:
    """Group markers: each has another one of its group within a distance, or is alone."""
    groups: list[list[tuple[str, tuple[float, float]]]] = []
    for marker in markers:
        near = [g for g in groups if any(dist(marker[1], other) <= distance for _, other in g)]
        groups = [g for g in groups if g not in near] + [[m for g in near for m in g] + [marker]]
    return groups


def _square(places: Sequence[tuple[float, float]]) -> Box:
    """A square around places, with room for names."""
    low, high = (tuple(pick(place[axis] for place in places) for axis in (0, 1)) for pick in (min, max))
    side = max(1.5 * max(high[0] - low[0], high[1] - low[1]), LEAST_ENLARGED_PERCENT)
    return _box((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, side, side)


def _draw_insets(
    axes: Axes, beside: FigureBase, places: Places, colours: Mapping[str, str], zooms: Sequence[Box]
) -> None:
    """Draw each cluttered area enlarged, the upper one on top, and frame it in the main axes with the same letter."""
    panels = beside.subplots(len(zooms), 1, squeeze=False).ravel()
    for letter, panel, zoom in zip("AB", panels, sorted(zooms, key=lambda z: -z[3]), strict=False):
        limits = zoom[0], zoom[2]
        panel.set(xlim=limits, ylim=(zoom[1], zoom[3]), aspect="equal")
        panel.plot((-100, 200), (-100, 200), color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55)
        _draw_versions(panel, places, colours)
        panel.tick_params(labelsize=7.5)
        panel.set_title(letter, loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(True)
        within = {v: {k: m for k, m in markers.items() if _is_inside(zoom, m)} for v, markers in places.items()}
        within = {version: markers for version, markers in within.items() if markers}
        _write_names(panel, within, within, limits, (zoom[1], zoom[3]), letter_size=1.5)
        frame = Rectangle(
            (zoom[0], zoom[1]), zoom[2] - zoom[0], zoom[3] - zoom[1], fill=False, edgecolor=INK, linewidth=0.8
        )
        axes.add_patch(frame)
        axes.annotate(
            letter, (zoom[0], zoom[3]), (-3, 0), textcoords="offset points", ha="right", va="top", fontsize=9,
            fontweight="bold",
        )  # fmt: skip


def _is_inside(box: Box, place: tuple[float, float]) -> bool:
    return box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]


def _describe_points(points: Mapping[str, tuple[MeanScore, MeanScore]]) -> str:
    """The numbers of each marker, in words."""
    return " ".join(
        f"{version}, {title}: labels {100 * getattr(labels, metric):.1f}, network {100 * getattr(model, metric):.1f}."
        for version, (labels, model) in points.items()
        for metric, title in METRICS.items()
    )


def _draw_markers(
    axes: Axes, metric: str, x: Sequence[float], y: Sequence[float], colour: str, label: str = ""
) -> None:
    axes.plot(
        x, y, marker=MARKERS[metric], markersize=6.5, markeredgewidth=1.6, markerfacecolor="none",
        markeredgecolor=colour, linestyle="none", zorder=3, label=label or "_unnamed",
    )  # fmt: skip


def _write_names(
    axes: Axes,
    named: Places,
    places: Places,
    limits: tuple[float, float],
    vertical: tuple[float, float] | None = None,
    letter_size: float = 1.0,
) -> None:
    """Write each version's name near its first marker, where neither a marker nor another name is.

    Args:
        axes: to write in.
        named: versions that get a name.
        places: all versions with markers here, which names must not hide.
        limits: of the x axis.
        vertical: limits of the y axis; those of the x axis when None.
        letter_size: as a multiple of that in the main axes.
    """
    vertical = vertical or limits
    span = limits[1] - limits[0]
    unit = letter_size * span
    taken = [_box(x, y, 0.032 * unit, 0.032 * unit) for markers in places.values() for x, y in markers.values()]
    for version, markers in named.items():
        x, y = next(iter(markers.values()))
        width, height = (0.0175 * len(version) + 0.012) * unit, 0.036 * unit
        spots = [_box(x + i * (0.5 * width + r * unit), y + j * r * unit, width, height) for r, i, j in _offsets()]
        inside = [
            s for s in spots if s[0] >= limits[0] and s[2] <= limits[1] and s[1] >= vertical[0] and s[3] <= vertical[1]
        ]
        box = min(inside or spots, key=lambda spot: sum(_overlap(spot, other) for other in taken))
        taken.append(box)
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        far = max(abs(middle[0] - x) - width / 2, abs(middle[1] - y)) > 0.045 * unit
        axes.annotate(
            version, (x, y), middle, ha="center", va="center", fontsize=8.5, zorder=4,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "alpha": 0.7} if far else None,
        )  # fmt: skip


def _offsets() -> Iterator[tuple[float, float, float]]:
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


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0
