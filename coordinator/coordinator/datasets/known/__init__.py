"""Public datasets by name: a ready `dataset.yaml` each, with the label table of the official distribution.

An organ has one name in all of them, TotalSegmentator's where that has the same organ; a comment gives the official
name where it differs. The label maps that come with a tool (`<tool>/remaps/<name>.yaml`) speak of the organs by these
names.
"""

from pathlib import Path

from contract.errors import UsageError
from contract.yamlfiles import did_you_mean

FOLDER = Path(__file__).parent


def known_datasets() -> list[str]:
    """Their names, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def description_file(name: str) -> Path:
    """The `dataset.yaml` of a known dataset.

    Raises:
        UsageError: there is none of that name; the nearest is given.
    """
    if name not in known_datasets():
        raise UsageError(f"there is no known dataset {name!r}; {did_you_mean(name, known_datasets())}")
    return FOLDER / f"{name}.yaml"
