"""The page: one file that needs only a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from coordinator.report.cases import CaseTable
from coordinator.report.emptymasks import describe_empty_masks
from coordinator.report.figures import Picture
from coordinator.report.methods import Methods
from coordinator.report.tables import ScoreTable
from coordinator.report.texttables import TextTable
from coordinator.results import provenance
from coordinator.results.run import Run

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Everything that the page shows beside the run itself.

    Attributes:
        verdict_sentences: is it worth it? One for each label version and scope.
        verdict: the same as tables, over all organs and organ by organ.
        observations: paragraphs that describe the results.
        label_quality: Table 1; None where no label version has scores.
        agreement: of each label version with the consensus of the others, one for each dataset with three of them.
        consistency: whether errors of labels are the same in every case, one for each dataset that has scores.
        label_organs: one for each dataset that has scores.
        in_domain: the table of networks; None where no network has scores.
        model_organs: one for each dataset that has networks with scores.
        transfers: Tables 2 and 3, one for each target.
        paper_findings: the paper's findings, tested in this study; at most one table.
        distances: HD95 and average surface distance of label versions, networks and targets.
        dose_tables: dose and response, one for each dataset that has degraded label versions.
        dose_curves: the same, drawn.
        mix_tables: how many cases are worth correcting, one for each dataset that has networks on mixtures.
        mix_curves: the same, drawn.
        worklist: masks to look at first; at most one table.
        paper_comparisons: our numbers and the paper's, one for each of its tables.
        leaks: scans that were trained on and tested with; at most one table.
        no_leaks: what stands in its place.
        rankings: label versions whose rank depends on the convention; at most one table.
        scatters: Fig. 2, one for each dataset.
        training_curves: one for each dataset.
        cases: the scores of each case, one table for each dataset.
        overlays: label maps over images, chosen by rule.
        missing_overlays: a sentence on each overlay that could not be drawn.
        methods: the methods section with its references.
    """

    verdict_sentences: Sequence[str]
    verdict: Sequence[TextTable]
    observations: Sequence[str]
    label_quality: ScoreTable | None
    agreement: Sequence[TextTable]
    consistency: Sequence[TextTable]
    label_organs: Sequence[ScoreTable]
    in_domain: ScoreTable | None
    model_organs: Sequence[ScoreTable]
    transfers: Sequence[ScoreTable]
    paper_findings: Sequence[TextTable]
    distances: Sequence[TextTable]
    dose_tables: Sequence[TextTable]
    dose_curves: Sequence[Picture]
    mix_tables: Sequence[TextTable]
    mix_curves: Sequence[Picture]
    worklist: Sequence[TextTable]
    paper_comparisons: Sequence[TextTable]
    leaks: Sequence[TextTable]
    no_leaks: str
    rankings: Sequence[TextTable]
    scatters: Sequence[Picture]
    training_curves: Sequence[Picture]
    cases: Sequence[CaseTable]
    overlays: Sequence[Picture]
    missing_overlays: Sequence[str]
    methods: Methods

    @property
    def tables(self) -> list[ScoreTable | TextTable]:
        """All tables but those of cases."""
        single = [table for table in (self.label_quality, self.in_domain) if table]
        return [
            *single, *self.label_organs, *self.model_organs, *self.transfers, *self.distances,
            *self.agreement, *self.consistency, *self.verdict, *self.paper_findings, *self.dose_tables,
            *self.mix_tables, *self.worklist, *self.leaks,
            *self.paper_comparisons, *self.rankings,
        ]  # fmt: skip

    @property
    def pictures(self) -> list[Picture]:
        """All figures."""
        return [*self.scatters, *self.training_curves, *self.dose_curves, *self.mix_curves, *self.overlays]


def render_page(run: Run, content: Content) -> str:
    """Render the whole page as text."""
    return load_template("page.html.j2").render(
        run=run,
        content=content,
        style=read_part("style.css"),
        script=read_part("page.js"),
        pictures=_inline([*content.scatters, *content.training_curves, *content.dose_curves, *content.mix_curves]),
        empty_masks=describe_empty_masks(run),
        failures=_group_failures(run),
        tools=provenance.tools(run),
        weights=provenance.weights(run),
        packages=provenance.packages(run),
    )


def load_template(name: str) -> jinja2.Template:
    """A page's template; everything that it is given is text, and never markup by chance."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def read_part(name: str) -> Markup:
    """The text of a style sheet or script that goes into a page."""
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _inline(pictures: Sequence[Picture]) -> Mapping[str, Markup]:
    return {picture.name: Markup(picture.inline) for picture in pictures}  # noqa: S704 - drawn by us


def _group_failures(run: Run) -> Mapping[tuple[str, str], list[tuple[str, str]]]:
    """(dataset, stage and label version) -> failed cases with their reasons."""
    failures: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in run.failures.iter_rows(named=True):
        key = row["dataset"], f"{row['stage']} of {row['version']}"
        failures.setdefault(key, []).append((row["case"], row["reason"]))
    return failures
