"""The results in plain sentences; where results are missing or too few, a sentence says so.

They describe the labels and networks of this study, in the digits of its tables, and claim nothing beyond it: what
holds for other cases and seeds is the verdict's to say. The one exception, whether better labels go with better
networks, follows from a permutation test.
"""

from collections.abc import Iterator, Mapping, Sequence

from coordinator.results.failednetworks import count_failed
from coordinator.results.run import Run, RunDataset
from coordinator.results.summaries import DIGITS, MeanScore, Results
from coordinator.statistics.correlation import p_rank_agreement, spearman
from coordinator.verdict.sentences import TABLE_DIGITS, count_noun, join_names
from coordinator.verdict.testplan import FEWEST_VERSIONS, make_test_plan


def describe_results(run: Run, results: Results) -> list[str]:
    """Describe the results: one paragraph for each dataset, and one on what they cannot show."""
    share = make_test_plan(run).share
    paragraphs = [" ".join(_describe_dataset(run, results, dataset, share)) for dataset in run.datasets]
    return [*paragraphs, " ".join(_describe_limits(run))]


def _describe_dataset(run: Run, results: Results, dataset: RunDataset, alpha: float) -> Iterator[str]:
    labels = {v: score for v in dataset.versions if (score := results.labels(dataset.name, v))}
    networks = {v: score for v in (run.reference, *dataset.versions) if (score := results.model(dataset.name, v))}
    yield from _describe_labels(dataset, labels)
    if dataset.splits:
        failed = {version for name, version in count_failed(run.failed_networks) if name == dataset.name}
        yield from _describe_networks(run.reference, dataset, networks, failed)
        yield from _describe_trend(labels, networks, alpha)


def _describe_labels(dataset: RunDataset, quality: Mapping[str, MeanScore]) -> Iterator[str]:
    if not quality:
        yield f"On {dataset.name}, no label version could be scored."
        return
    dice = _round_dice(quality)
    best, worst = _highest_and_lowest(dice)
    if len(quality) == 1:
        yield (
            f"On {dataset.name}, the labels of {best[0]} have Dice {_percent(dice[best[0]])} with the reference labels."
        )
    elif best == worst:
        yield (
            f"On {dataset.name}, the labels of {join_names(best)} all have Dice {_percent(dice[best[0]])} with "
            "the reference labels: in the digits of the tables they are equal."
        )
    else:
        yield (
            f"On {dataset.name}, the labels of {join_names(best)} agree best with the reference labels (Dice "
            f"{_percent(dice[best[0]])}), those of {join_names(worst)} least ({_percent(dice[worst[0]])})."
        )
    yield from _describe_counts(quality)


def _describe_networks(
    reference: str, dataset: RunDataset, networks: Mapping[str, MeanScore], failed: set[str]
) -> Iterator[str]:
    if not networks:
        why = "All networks that were tested failed" if failed else "No network was tested"
        yield f"{why}, so what better labels gain remains open."
        return
    dice = _round_dice(networks)
    if reference in networks:
        held_out = len(dataset.held_out)
        yield (
            f"The network trained on the reference labels has Dice {_percent(dice[reference])} on the "
            f"{'held-out case' if held_out == 1 else f'{held_out} held-out cases'}."
        )
    else:
        why = "failed" if reference in failed else "has no scores"
        yield f"The network trained on the reference labels {why}, so the others can't be compared with it."
    on_others = {version: value for version, value in dice.items() if version != reference}
    if not on_others:
        return
    best, worst = _highest_and_lowest(on_others)
    distance = _describe_distance(dice[best[0]], dice.get(reference))
    if len(on_others) == 1:
        yield f"That on the labels of {best[0]} has {_percent(dice[best[0]])}{distance}."
    elif best == worst:
        yield (
            f"Those on the labels of {join_names(best)} all have {_percent(dice[best[0]])}{distance}: in the "
            "digits of the tables they are equal."
        )
    else:
        yield (
            f"Of the networks trained on other labels, {_those_of(best)} the highest Dice ({_percent(dice[best[0]])}"
            f"{distance}), {_those_of(worst)} the lowest ({_percent(dice[worst[0]])})."
        )
    yield from _describe_counts(networks)


def _describe_trend(labels: Mapping[str, MeanScore], networks: Mapping[str, MeanScore], alpha: float) -> Iterator[str]:
    """Compare the order of label versions with that of their networks."""
    label_dice, network_dice = _round_dice(labels), _round_dice(networks)
    versions = sorted((v for v in labels if v in networks), key=lambda version: (label_dice[version], version))
    if len(versions) < 2:
        return
    worst, best = versions[0], versions[-1]
    label_gain = label_dice[best] - label_dice[worst]
    if round(label_gain, TABLE_DIGITS) == 0:
        return
    if len(versions) == 2:
        yield (
            f"From {worst} to {best}, the labels' Dice rises by {_percent(label_gain)} points and these networks' Dice "
            f"{_describe_change(network_dice[best] - network_dice[worst])}; two label versions show no trend."
        )
        return
    yield _describe_order([label_dice[v] for v in versions], [network_dice[v] for v in versions], alpha)


def _describe_order(labels: Sequence[float], networks: Sequence[float], alpha: float) -> str:
    """Describe whether better labels went with better networks; a claim only where chance would rarely do the same.

    Args:
        labels: Dice of three or more label versions, not all equal.
        networks: Dice of their networks.
        alpha: of the one-sided permutation test, its share in the report's test plan.
    """
    versions = f"{len(labels)} label versions"
    correlation, p = spearman(labels, networks), p_rank_agreement(labels, networks)
    if correlation is None or p is None:
        return f"The networks of these {versions} are equal in the digits of the tables, whatever their labels."
    if correlation.value <= 0:
        return (
            f"Better labels did not go with better networks among these {versions} (rank correlation "
            f"{_signed(correlation.value)}). That is no evidence that they do, and no test that they don't."
        )
    agreement = (
        f"the {versions} and their networks rank {'alike' if correlation.value > 1 - 1e-9 else 'partly alike'} (rank "
        f"correlation {_signed(correlation.value)}"
    )
    if len(labels) >= FEWEST_VERSIONS and p <= alpha + 1e-12:
        return (
            f"Better labels went with better networks: {agreement}; chance alone ranks as much alike in "
            f"{_one_in(p)} orders)."
        )
    too_few = f"fewer than {FEWEST_VERSIONS}" if len(labels) < FEWEST_VERSIONS else "they"
    return (
        f"{agreement[0].upper()}{agreement[1:]}), but chance alone ranks as much alike in {_one_in(p)} orders: "
        f"{too_few} can't tell whether better labels go with better networks."
    )


def _describe_limits(run: Run) -> Iterator[str]:
    yield from _describe_marks(run)
    held_out = sorted({len(dataset.held_out) for dataset in run.datasets if dataset.splits})
    if not held_out:
        yield "This study trains no networks: it shows how good the labels are, not what better labels gain."
        return
    counts = f"{held_out[0]}" if len(held_out) == 1 else f"{held_out[0]} to {held_out[-1]}"
    cases = f"{counts} held-out case{'s' * (held_out[-1] != 1)}"
    if run.noise_seeds:
        yield (
            f"{count_noun(len(run.seeds), 'seed')} of each network and {len(run.noise_seeds)} more of "
            f"that on the reference labels, {cases}: means are over all of a version's seeds."
        )
    elif len(run.seeds) == 1:
        yield f"One seed, {cases}: how much another seed would change these numbers is not known from this study."
    else:
        yield f"{len(run.seeds)} seeds, {cases}: means are over seeds."
    yield "These paragraphs describe the networks of this study; what holds beyond them, only the verdict says."


def describe_sources(run: Run) -> str:
    """Which labels, and which prompts, were made from the reference labels; empty where none were."""
    prompted = [version for version in run.versions if run.marks[version].prompted_from_reference]
    made = [version for version in run.versions if run.made_from_reference(version) and version not in prompted]
    kinds = {"labels": made, "prompts": prompted}
    what = " and the ".join(f"{kind} of {join_names(versions)}" for kind, versions in kinds.items() if versions)
    return f"The {what} were made from the reference labels" if what else ""


def _describe_marks(run: Run) -> Iterator[str]:
    """What the reference labels had to do with the label versions."""
    if sources := describe_sources(run):
        yield f"{sources}, so a user without reference labels could not have them."
    informed = [version for version in run.versions if run.marks[version].labeller_saw_held_out]
    if informed:
        yield (
            f"The networks that labelled the training cases of {join_names(informed)} were trained with labels of "
            f"held-out cases; networks trained on {'it' if len(informed) == 1 else 'them'} may score too high."
        )


def _round_dice(scores: Mapping[str, MeanScore]) -> dict[str, float]:
    """Version -> Dice in the digits of the tables, rounded as they are."""
    printed = {version: _percent(round(score.dice, DIGITS)) for version, score in scores.items()}
    return {version: round(float(percent) / 100, TABLE_DIGITS) for version, percent in printed.items()}


def _highest_and_lowest(dice: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """All versions of the highest Dice, and all of the lowest."""
    highest, lowest = max(dice.values()), min(dice.values())
    return [v for v in dice if dice[v] == highest], [v for v in dice if dice[v] == lowest]


def _describe_counts(scores: Mapping[str, MeanScore]) -> Iterator[str]:
    """Warn where means are over different numbers of cases."""
    counts = {score.cases for score in scores.values()}
    if len(counts) > 1:
        yield f"Not all of these are means over the same cases ({min(counts)} to {max(counts)} cases)."


def _those_of(versions: Sequence[str]) -> str:
    subject, verb = ("that", "has") if len(versions) == 1 else ("those", "have")
    return f"{subject} of {join_names(versions)} {verb}"


def _describe_distance(dice: float, base: float | None) -> str:
    if base is None:
        return ""
    difference = round(base - dice, TABLE_DIGITS)
    if difference == 0:
        return ", as much as the network on the reference labels"
    side = "below" if difference > 0 else "above"
    return f", {_percent(abs(difference))} points {side} the network on the reference labels"


def _describe_change(difference: float) -> str:
    rounded = round(difference, TABLE_DIGITS)
    if rounded == 0:
        return "stays the same in the digits of the tables"
    return f"{'rises' if rounded > 0 else 'falls'} by {_percent(abs(rounded))}"


def _one_in(p: float) -> str:
    """A share of orders, such as "1 of 6" or "about 3 of 10"."""
    if p > 0.3:
        return f"{100 * p:.0f} of 100"
    one_in = round(1 / p)
    return f"{'' if abs(one_in * p - 1) < 1e-6 else 'about '}1 of {one_in:,}"


def _signed(correlation: float) -> str:
    return f"{correlation:.2f}".replace("-", "−")  # noqa: RUF001 - a minus sign


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
