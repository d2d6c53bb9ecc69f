"""How many cases are worth correcting? Gain against annotation hours, as a table and as curves."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from coordinator.report.failed import describe_failed
from coordinator.report.figures import COLOURS, DASHES, INK, Picture, make_picture, styled_figure
from coordinator.report.texttables import TextTable
from coordinator.results.run import Mix, Run
from coordinator.results.summaries import METRICS
from coordinator.verdict.mixtures import WHOLE, MixCurve, MixPoint, describe_curve, describe_margins, describe_rules
from coordinator.verdict.sentences import NO_NUMBER, format_gain, format_hours, format_points


def mix_table(run: Run, mix: Mix, curves: Sequence[MixCurve]) -> TextTable:
    """Every share of every rule on one dataset, the better labels alone last."""
    dataset = curves[0].dataset
    rows = [(curve.rule, point) for curve in curves for point in curve.points if point.share < WHOLE]
    rows.append(("all", curves[0].points[-1]))
    return TextTable(
        name=f"mixtures-{dataset}",
        caption=f"{dataset}: how many cases are worth correcting? Networks on {mix.worse} labels, of which a share was "
        f"replaced by those of {mix.better}.{describe_failed(run, dataset, versions=_list_names(mix))}",
        columns=(
            "which cases", "share", "cases", "hours", f"gain over {mix.worse} (Dice points, interval)",
            f"short of {mix.better} by (Dice points, at most)", "(Surface Dice points, at most)", "enough",
        ),
        rows=tuple(_row(rule, point) for rule, point in rows),
        notes=(
            describe_rules(mix),
            *(sentence for curve in curves for sentence in describe_curve(run, mix, curve)),
            f"Enough: shown to fall short by less than {describe_margins(run)}. Hours are for drawing the masks of the "
            f"reference labels in these cases, if one takes {run.verdict.minutes_per_mask:g} minutes. Intervals of "
            "gains hold together for a rule, and the largest shortfalls are one-sided bounds; both at its share of the "
            "verdict's plan of tests.",
        ),
        tidy=pl.DataFrame(
            [{"dataset": dataset, "rule": rule, **_as_row(point)} for rule, point in rows], infer_schema_length=None
        ),
    )  # fmt: skip


def draw_mix_curves(run: Run, mix: Mix, curves: Sequence[MixCurve]) -> Picture | None:
    """Draw the gain of each rule's networks against hours, or cases where there is no price; None without any."""
    dataset = curves[0].dataset
    drawn = [(curve, [p for p in curve.points if p.gain is not None]) for curve in curves]
    if not any(points for _, points in drawn):
        return None
    priced = all(point.hours is not None for _, points in drawn for point in points)
    with styled_figure(5.8, 3.9) as figure:
        axes = figure.subplots()
        for number, (curve, points) in enumerate(drawn):
            x, y = _place(points, priced=priced)
            axes.plot([0.0, *x], [0.0, *y], color=COLOURS[number], linestyle=DASHES[number % len(DASHES)],
                      marker="o", markersize=4, linewidth=1.4, label=curve.rule)  # fmt: skip
            for place, point in zip(x, points, strict=True):
                if point.low is not None and point.high is not None:
                    axes.plot([place] * 2, [100 * point.low, 100 * point.high], color=COLOURS[number], alpha=0.5)
        axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 4)), alpha=0.55)
        axes.set_title(dataset, loc="left")
        axes.set_xlabel("hours of drawing" if priced else f"training cases with labels of {mix.better}")
        axes.set_ylabel(f"network better than on {mix.worse} by (Dice points)")
        axes.legend(fontsize=8.5)
        caption = (
            f"{dataset}: gain of the networks over those on {mix.worse}, against the "
            f"{'hours of drawing' if priced else 'number'} of the training cases that have the labels of {mix.better}, "
            "with intervals over held-out cases and seeds."
        )
        numbers = "; ".join(
            f"{curve.rule}: {', '.join(f'{100 * p.share:g} % {100 * (p.gain or 0):.1f}' for p in points)}"
            for curve, points in drawn
        )
        return make_picture(f"mixtures-{dataset}", caption, figure, alt=f"{caption} Gains in Dice points, {numbers}.")


def _list_names(mix: Mix) -> set[str]:
    """The label versions and mixtures of all curves."""
    return {mix.better, mix.worse} | {name for curve in mix.curves.values() for name in curve.values()}


def _as_row(point: MixPoint) -> dict[str, object]:
    """A point as a row of a csv file."""
    return {key: value for key, value in asdict(point).items() if key not in ("most", "assumption")} | {
        f"most_{metric}": point.most.get(metric) for metric in METRICS
    }


def _place(points: Sequence[MixPoint], *, priced: bool) -> tuple[list[float], list[float]]:
    """Where points stand in the figure."""
    x = [(point.hours or 0.0) if priced else point.cases for point in points]
    return x, [100 * (point.gain or 0.0) for point in points]


def _row(rule: str, point: MixPoint) -> tuple[str, ...]:
    hours = NO_NUMBER if point.hours is None else format_hours(point.hours)
    most = {metric: f"at most {format_points(bound)}" for metric, bound in point.most.items()}
    is_whole = point.share == WHOLE
    short = format_points(point.shortfall) + (f" ({most['dice']})" if "dice" in most else "")
    return (
        rule, f"{100 * point.share:g} %", f"{point.cases:.3g}", hours,
        format_gain(point.gain, point.low, point.high) if point.gain is not None else NO_NUMBER,
        NO_NUMBER if is_whole else short,
        NO_NUMBER if is_whole else most.get("surface_dice", NO_NUMBER),
        NO_NUMBER if is_whole else "yes" if point.is_within else "not shown",
    )  # fmt: skip
