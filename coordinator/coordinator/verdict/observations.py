"""The results in plain sentences; where results are missing or too few, a sentence says so."""

from collections.abc import Iterator

from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import MeanScore, Results
from coordinator.statistics.correlation import Correlation, spearman
from coordinator.study.steps import BASE
from coordinator.verdict.sentences import join_names

EQUALLY_GOOD = 0.01
"""Networks whose Dice differs by less than this are called equally good."""


def describe_results(run: Run, results: Results) -> list[str]:
    """Describe the results: one paragraph for each dataset, and one on what they cannot show."""
    paragraphs = [" ".join(_describe_dataset(results, dataset)) for dataset in run.datasets]
    return [*paragraphs, " ".join(_describe_limits(run))]


def _describe_dataset(results: Results, dataset: RunDataset) -> Iterator[str]:
    labels = {v: score for v in dataset.versions if (score := results.labels(dataset.name, v))}
    networks = {v: score for v in (BASE, *dataset.versions) if (score := results.model(dataset.name, v))}
    yield from _describe_labels(dataset, labels)
    if dataset.split:
        yield from _describe_networks(dataset, networks)
        yield from _describe_trend(labels, networks)


def _describe_labels(dataset: RunDataset, quality: dict[str, MeanScore]) -> Iterator[str]:
    if not quality:
        yield f"On {dataset.name}, no label version could be scored."
        return
    best, worst = _best_and_worst(quality)
    if best == worst:
        yield (
            f"On {dataset.name}, the pseudo-labels of {best} have Dice {_percent(quality[best].dice)} with the "
            "reference labels."
        )
        return
    yield (
        f"On {dataset.name}, the pseudo-labels of {best} agree best with the reference labels (Dice "
        f"{_percent(quality[best].dice)}), those of {worst} least ({_percent(quality[worst].dice)})."
    )


def _describe_networks(dataset: RunDataset, networks: dict[str, MeanScore]) -> Iterator[str]:
    on_pseudo_labels = {version: score for version, score in networks.items() if version != BASE}
    if not networks:
        yield "No network was tested, so what better labels gain remains open."
        return
    if BASE in networks:
        held_out = len(dataset.held_out)
        yield (
            f"The network trained on the reference labels reaches Dice {_percent(networks[BASE].dice)} on the "
            f"{'held-out case' if held_out == 1 else f'{held_out} held-out cases'}."
        )
    else:
        yield "The network trained on the reference labels has no scores, so the others can't be compared with it."
    if not on_pseudo_labels:
        return
    best, worst = _best_and_worst(on_pseudo_labels)
    if best == worst:
        yield f"Trained on the pseudo-labels of {best}, it reaches {_percent(on_pseudo_labels[best].dice)}."
        return
    yield (
        f"Of the networks trained on pseudo-labels, that of {best} is best ({_percent(on_pseudo_labels[best].dice)}"
        f"{_describe_distance(on_pseudo_labels[best], networks.get(BASE))}), that of {worst} worst "
        f"({_percent(on_pseudo_labels[worst].dice)})."
    )


def _describe_trend(labels: dict[str, MeanScore], networks: dict[str, MeanScore]) -> Iterator[str]:
    versions = sorted((v for v in labels if v in networks), key=lambda version: (labels[version].dice, version))
    if len(versions) < 2:
        return
    worst, best = versions[0], versions[-1]
    label_gain = labels[best].dice - labels[worst].dice
    network_gain = networks[best].dice - networks[worst].dice
    yield (
        f"From the worst to the best pseudo-labels ({worst} to {best}), the labels' Dice rises by "
        f"{_percent(label_gain)} points and the network's Dice {_describe_change(network_gain)}."
    )
    correlation = spearman([labels[v].dice for v in versions], [networks[v].dice for v in versions])
    if correlation is not None:
        yield (
            f"Over the {len(versions)} versions of pseudo-labels, {_describe_correlation(correlation.value)} (rank "
            f"correlation {_with_interval(correlation)})."
        )


def _describe_limits(run: Run) -> Iterator[str]:
    yield from _describe_marks(run)
    held_out = sorted({len(dataset.held_out) for dataset in run.datasets if dataset.split})
    if not held_out:
        yield "This study trains no networks: it shows how good the labels are, not what better labels gain."
        return
    counts = f"{held_out[0]}" if len(held_out) == 1 else f"{held_out[0]} to {held_out[-1]}"
    cases = f"{counts} held-out case{'s' * (held_out[-1] != 1)}"
    if len(run.seeds) == 1:
        yield f"One seed, {cases}: how much another seed would change is not known, and no interval includes it."
    else:
        yield f"{len(run.seeds)} seeds, {cases}: means are over seeds, and intervals include cases and seeds."


def _describe_marks(run: Run) -> Iterator[str]:
    """What the reference labels had to do with the label versions."""
    made = [version for version in run.versions if run.made_from_reference(version)]
    if made:
        yield (
            f"The labels of {join_names(made)} were made from the reference labels, so a user without reference labels "
            f"could not have {'it' if len(made) == 1 else 'them'}."
        )
    informed = [version for version in run.versions if run.marks[version].labeller_saw_held_out]
    if informed:
        yield (
            f"The networks that labelled the training cases of {join_names(informed)} were trained with labels of "
            f"held-out cases; networks trained on {'it' if len(informed) == 1 else 'them'} may score too high."
        )


def _best_and_worst(scores: dict[str, MeanScore]) -> tuple[str, str]:
    """The versions of highest and of lowest Dice; of equals the first."""
    return max(scores, key=lambda v: scores[v].dice), min(scores, key=lambda v: scores[v].dice)


def _describe_distance(score: MeanScore, base: MeanScore | None) -> str:
    if base is None:
        return ""
    difference = base.dice - score.dice
    if abs(difference) < EQUALLY_GOOD:
        return ", within a point of the network on the reference labels"
    side = "below" if difference > 0 else "above"
    return f", {_percent(abs(difference))} points {side} the network on the reference labels"


def _describe_change(difference: float) -> str:
    if abs(difference) < EQUALLY_GOOD:
        return "changes by less than a point"
    return f"{'rises' if difference > 0 else 'falls'} by {_percent(abs(difference))}"


def _with_interval(correlation: Correlation) -> str:
    if correlation.interval is None:
        return f"{correlation.value:.2f}; three versions give no interval"
    low, high = correlation.interval
    return f"{correlation.value:.2f}, 95 % interval {low:.2f} to {high:.2f}"


def _describe_correlation(correlation: float) -> str:
    if correlation >= 0.9:
        return "better labels went with better networks throughout"
    if correlation >= 0.5:
        return "better labels mostly went with better networks"
    if correlation > -0.5:
        return "better labels did not reliably go with better networks"
    return "better labels went with worse networks"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
