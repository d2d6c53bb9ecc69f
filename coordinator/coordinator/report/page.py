"""The page: one file that needs nothing but a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from coordinator.report.cases import CaseTable
from coordinator.report.figures import Picture
from coordinator.report.methods import Methods
from coordinator.report.sheets import Sheet
from coordinator.report.tables import Table
from coordinator.results import provenance
from coordinator.results.run import Run
from coordinator.scoring import conventions

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Everything that the page shows beside the run itself.

    Attributes:
        answers: a sentence a label version and scope: is it worth it?
        verdict: the same as tables, over all organs and by organ.
        transfers: Tables 2 and 3, one a target.
        doses: dose and response, one a dataset that has degraded label versions.
        dose_curves: the same, drawn.
        worklist: masks to look at first; empty or one.
        beside: our numbers beside the paper's, one for each of its tables.
        rankings: versions whose rank hangs on the convention; empty or one.
        reading: paragraphs of what was found.
        label_quality: Table 1; None where no label version has scores.
        label_organs: a table a dataset that has scores.
        in_domain: the table of networks; None where no network has scores.
        model_organs: a table a dataset that has networks with scores.
        scatters: Fig. 2, one a dataset.
        curves: training curves, one a dataset.
        cases: the numbers of each case, a table a dataset.
        overlays: label maps over images, chosen by rule.
        not_shown: a sentence on each overlay that could not be drawn.
        methods: the methods section with its references.
    """

    answers: Sequence[str]
    verdict: Sequence[Sheet]
    transfers: Sequence[Table]
    doses: Sequence[Sheet]
    dose_curves: Sequence[Picture]
    worklist: Sequence[Sheet]
    beside: Sequence[Sheet]
    rankings: Sequence[Sheet]
    reading: Sequence[str]
    label_quality: Table | None
    label_organs: Sequence[Table]
    in_domain: Table | None
    model_organs: Sequence[Table]
    scatters: Sequence[Picture]
    curves: Sequence[Picture]
    cases: Sequence[CaseTable]
    overlays: Sequence[Picture]
    not_shown: Sequence[str]
    methods: Methods


def html(run: Run, content: Content) -> str:
    """The whole page as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(
        run=run,
        content=content,
        style=_own("style.css"),
        script=_own("page.js"),
        pictures=_inline([*content.scatters, *content.curves, *content.dose_curves]),
        convention=conventions.find(run.score.empty),
        failures=_by_tool(run),
        tools=provenance.tools(run),
        weights=provenance.weights(run),
        packages=provenance.packages(run),
    )


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _inline(pictures: Sequence[Picture]) -> Mapping[str, Markup]:
    return {picture.name: Markup(picture.inline) for picture in pictures}  # noqa: S704 - drawn by us


def _by_tool(run: Run) -> Mapping[tuple[str, str], list[tuple[str, str]]]:
    """(dataset, what failed) -> cases with their reasons."""
    failures: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in run.failures.iter_rows(named=True):
        key = row["dataset"], f"{row['stage']} of {row['version']}"
        failures.setdefault(key, []).append((row["case"], row["reason"]))
    return failures
