"""What was found, in plain sentences: each is computed from the results, and says where they don't suffice."""

from collections.abc import Iterator

from coordinator.results.run import Dataset, Run
from coordinator.results.summaries import MeanScore, Results
from coordinator.statistics.correlation import Correlation, spearman
from coordinator.study.steps import BASE

TRAINED_ALIKE = 0.01
"""Models whose Dice differ by less than this are called equally good."""


def sentences(run: Run, results: Results) -> list[str]:
    """One paragraph a dataset and one of caution."""
    paragraphs = [" ".join(_dataset(run, results, dataset)) for dataset in run.datasets]
    return [*paragraphs, " ".join(_caution(run, results))]


def _dataset(run: Run, results: Results, dataset: Dataset) -> Iterator[str]:
    quality = {v: score for v in dataset.versions if (score := results.labels(dataset.name, v))}
    models = {v: score for v in (BASE, *dataset.versions) if (score := results.model(dataset.name, v))}
    yield from _label_sentences(dataset, quality)
    if dataset.split:
        yield from _model_sentences(dataset, models)
        yield from _trend_sentences(quality, models)


def _label_sentences(dataset: Dataset, quality: dict[str, MeanScore]) -> Iterator[str]:
    if not quality:
        yield f"On {dataset.name}, no label version could be scored."
        return
    best, worst = _extremes(quality)
    if best == worst:
        yield f"On {dataset.name}, the labels of {best} have Dice {_points(quality[best].dice)} with the original ones."
        return
    yield (
        f"On {dataset.name}, the labels of {best} agree best with the original ones (Dice "
        f"{_points(quality[best].dice)}), those of {worst} least ({_points(quality[worst].dice)})."
    )


def _model_sentences(dataset: Dataset, models: dict[str, MeanScore]) -> Iterator[str]:
    generated = {version: score for version, score in models.items() if version != BASE}
    if not models:
        yield "No model was evaluated, so what label quality buys remains open."
        return
    if BASE in models:
        yield (
            f"A network trained on the original labels reaches Dice {_points(models[BASE].dice)} "
            f"on the {_held_out(dataset)}."
        )
    else:
        yield "The network trained on the original labels has no scores, so the others can't be compared with it."
    if not generated:
        return
    best, worst = _extremes(generated)
    if best == worst:
        yield f"Trained on {best}, it reaches {_points(generated[best].dice)}."
        return
    yield (
        f"Of generated labels, those of {best} make the best network ({_points(generated[best].dice)}"
        f"{_behind(generated[best], models.get(BASE))}), those of {worst} the worst ({_points(generated[worst].dice)})."
    )


def _trend_sentences(quality: dict[str, MeanScore], models: dict[str, MeanScore]) -> Iterator[str]:
    both = sorted((v for v in quality if v in models), key=lambda version: (quality[version].dice, version))
    if len(both) < 2:
        return
    low, high = both[0], both[-1]
    gained_labels = quality[high].dice - quality[low].dice
    gained_model = models[high].dice - models[low].dice
    yield (
        f"From the worst to the best of these labels ({low} to {high}), label Dice rises by {_points(gained_labels)} "
        f"points and the network's Dice {_change(gained_model)}."
    )
    correlation = spearman([quality[v].dice for v in both], [models[v].dice for v in both])
    if correlation is not None:
        yield (
            f"Over the {len(both)} generated versions, {_trend(correlation.value)} (rank correlation "
            f"{_with_interval(correlation)})."
        )


def _caution(run: Run, results: Results) -> Iterator[str]:
    prompted = [version for version in run.versions if run.prompts.get(version) == "ground-truth"]
    if prompted:
        yield (
            f"{_listed(prompted)} got prompts made from the original labels, so "
            f"{'its' if len(prompted) == 1 else 'their'} quality is not what a user without labels would get."
        )
    held_out = sorted({len(dataset.split.holdout) for dataset in run.datasets if dataset.split})
    if not held_out:
        yield "No networks were trained in this study; it says how good the labels are, not what they are good for."
        return
    counts = f"{held_out[0]}" if len(held_out) == 1 else f"{held_out[0]} to {held_out[-1]}"
    cases = f"{counts} held-out case{'s' * (held_out[-1] != 1)}"
    if len(run.seeds) == 1:
        yield f"One seed, {cases}: how much another seed would change is not known, and in no interval."
    else:
        yield f"{len(run.seeds)} seeds, {cases}: means are over seeds, and intervals count both."


def _extremes(scores: dict[str, MeanScore]) -> tuple[str, str]:
    """The versions of highest and of lowest Dice; of equals the first."""
    return max(scores, key=lambda v: scores[v].dice), min(scores, key=lambda v: scores[v].dice)


def _behind(score: MeanScore, base: MeanScore | None) -> str:
    if base is None:
        return ""
    difference = base.dice - score.dice
    if abs(difference) < TRAINED_ALIKE:
        return ", within a point of the original labels"
    return f", {_points(abs(difference))} points {'below' if difference > 0 else 'above'} the original labels"


def _change(difference: float) -> str:
    if abs(difference) < TRAINED_ALIKE:
        return "changes by less than a point"
    return f"{'rises' if difference > 0 else 'falls'} by {_points(abs(difference))}"


def _with_interval(correlation: Correlation) -> str:
    if correlation.interval is None:
        return f"{correlation.value:.2f}; three versions give no interval"
    low, high = correlation.interval
    return f"{correlation.value:.2f}, 95 % interval {low:.2f} to {high:.2f}"


def _trend(correlation: float) -> str:
    if correlation >= 0.9:
        return "better labels went with better networks throughout"
    if correlation >= 0.5:
        return "better labels mostly went with better networks"
    if correlation > -0.5:
        return "better labels did not reliably go with better networks"
    return "better labels went with worse networks"


def _held_out(dataset: Dataset) -> str:
    count = len(dataset.split.holdout) if dataset.split else 0
    return "held-out case" if count == 1 else f"{count} held-out cases"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
