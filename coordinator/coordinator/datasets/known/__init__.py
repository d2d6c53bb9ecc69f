"""Public datasets by name: a `dataset.yaml` for each, with the label table of the official distribution.

An organ has the same name in all of them: TotalSegmentator's, where it has that organ. A comment gives the official
name where it differs. The label mappings of the tools (`<tool>/remaps/<name>.yaml`) use these names.
"""

from pathlib import Path

from contract.errors import UsageError
from contract.yamlfiles import did_you_mean

FOLDER = Path(__file__).parent


def known_datasets() -> list[str]:
    """List the names of the known datasets, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def description_file(name: str) -> Path:
    """Path of a known dataset's `dataset.yaml`.

    Raises:
        UsageError: no known dataset has that name; the message suggests the nearest.
    """
    if name not in known_datasets():
        raise UsageError(f"there is no known dataset {name!r}; {did_you_mean(name, known_datasets())}")
    return FOLDER / f"{name}.yaml"
