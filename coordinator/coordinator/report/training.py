"""How networks were trained, in sentences: what the paper states and whether this study keeps to it, and what is ours.

paper.TRAINING_IN_WORDS        what the paper states, and nothing else
study file, section `train`    whether this study keeps to it
recipe in each run.json        everything else, as the trainer recorded it
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coordinator.results import paper
from coordinator.results.run import Run
from coordinator.study.settings import TrainSettings
from coordinator.verdict.sentences import join_names


def describe_attribution(run: Run, train: TrainSettings, citation: str) -> Iterator[str]:
    """Describe which settings of training are the paper's, and name all others as this study's.

    Args:
        run: the run.
        train: its settings of training.
        citation: of the paper, to be added to its name.
    """
    yield f"Of training, Jaus et al.{citation} state: {'; '.join(paper.TRAINING_IN_WORDS)}."
    differences = training_differences(train)
    exceptions = f" but for {join_names(differences)}" if differences else ""
    median = "; its median resolution is that of the training images" if train.spacing == "median" else ""
    yield f"This study keeps to that{exceptions}{median}."
    common, by_dataset = _collect_recipe(run)
    if not (common or by_dataset):
        yield "All other settings are this study's own choice; its trainer left no record of them."
        return
    everywhere = f": {_list_topics(common)}" if common else ""
    yield (
        "All other settings, and the number of seeds, are this study's own choice, since Jaus et al. state none of "
        f"them{everywhere}."
    )
    for dataset, topics in by_dataset.items():
        yield f"On {dataset}: {_list_topics(topics)}."


def training_differences(train: TrainSettings) -> list[str]:
    """What differs from what the paper states of training, such as "epochs 16 (the paper has 1000)"."""
    ours = train.model_dump()
    return [
        f"{name.replace('_', ' ')} {ours[name]} (the paper has {stated})"
        for name, stated in paper.TRAINING.items()
        if ours[name] != stated
    ]


def _list_topics(topics: Mapping[str, Sequence[str]]) -> str:
    """Such as "batch: 2 patches; loss: …"; several values of a topic are of different networks."""
    return "; ".join(f"{topic}: {' or '.join(values)}" for topic, values in topics.items())


def _collect_recipe(run: Run) -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    """Collect what networks recorded: topic -> values that hold on all datasets, and dataset -> topic -> its values.

    Networks that were fine-tuned are left out: they keep to the settings of the network that they began from.
    """
    names = {dataset.name for dataset in run.datasets}
    recipes: dict[str, dict[str, list[str]]] = {}
    for used in run.tools:
        if used.dataset in names and used.stage in ("training", "prediction"):
            for topic, value in _read_recipe(used.record).items():
                values = recipes.setdefault(topic, {}).setdefault(used.dataset, [])
                if value not in values:
                    values.append(value)
    common = {
        topic: next(iter(by_dataset.values()))
        for topic, by_dataset in recipes.items()
        if all(values == next(iter(by_dataset.values())) for values in by_dataset.values())
    }
    own = {
        dataset.name: {t: recipes[t][dataset.name] for t in recipes if t not in common and dataset.name in recipes[t]}
        for dataset in run.datasets
    }
    return common, {dataset: topics for dataset, topics in own.items() if topics}


def _read_recipe(record: Mapping[str, Any]) -> Mapping[str, str]:
    recipe = record.get("recipe")
    return recipe if isinstance(recipe, dict) else {}
