"""The description of a dataset: of a known one as it comes with the coordinator, else of what its files say."""

import re
from collections.abc import Mapping
from pathlib import Path

from contract import yamlfiles
from contract.datasets import DatasetDescription
from contract.yamlfiles import as_scalar
from coordinator.datasets.importing.cases import Description
from coordinator.datasets.known import description_file, known_datasets

TABLES = Path(__file__).parent / "tables"
"""Public datasets that only importing knows."""
MADE_BY = "# Made by `coordinator dataset import`; import.json says from what.\n"


def describe_known(name: str) -> Description:
    """The description of a known public dataset, with its comments."""
    file = description_file(name) if name in known_datasets() else TABLES / f"{name}.yaml"
    known = yamlfiles.load(file, DatasetDescription)
    return Description(
        name=name,
        text=file.read_text(encoding="utf-8"),
        labels=known.labels,
        licence=known.licence,
        citation=known.citation,
        source=known.source,
    )


def write_description(description: Description, name: str, labels: Mapping[int, str], groups: Mapping[str, str]) -> str:
    """The text of `dataset.yaml`.

    Args:
        description: of the dataset.
        name: that it gets.
        labels: label id -> organ.
        groups: case -> its patient.
    """
    if description.text is not None:
        text = re.sub(r"^name:.*$", lambda _: f"name: {as_scalar(name)}", description.text, flags=re.MULTILINE)
    else:
        fields = {key: getattr(description, key) for key in ("licence", "citation", "source")}
        lines = [f"{key}: {as_scalar(value)}\n" for key, value in fields.items() if value]
        table = "".join(f"\n  {i}: {as_scalar(organ)}" for i, organ in sorted(labels.items())) or " {}"
        text = f"name: {as_scalar(name)}\n{''.join(lines)}labels:{table}\n"
    if groups:
        text += "groups:\n" + "".join(f"  {as_scalar(case)}: {as_scalar(group)}\n" for case, group in groups.items())
    return MADE_BY + text


def propose_name(text: str) -> str:
    """A name that a dataset can have, near to what a folder or a dataset.json says."""
    bare = re.sub(r"^(dataset|task)\d+_?", "", text.strip().lower())
    slug = re.sub(r"[^a-z0-9_.-]+", "_", bare or text.lower()).strip("_.-")[:60]
    return slug or "imported"
