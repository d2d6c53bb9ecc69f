"""Dataset folders: made, checked, described.

check      reads every file; lists all problems of a dataset
phantom    a synthetic dataset, from anatomy
remap      label maps in other ids
known/     descriptions of public datasets
"""

from typing import TYPE_CHECKING

from contract.lazy import lazy_names

if TYPE_CHECKING:
    from coordinator.datasets.check import check_dataset
    from coordinator.datasets.phantom import make_phantom
    from coordinator.datasets.remap import remap_labels

__all__ = ["check_dataset", "make_phantom", "remap_labels"]

__getattr__, __dir__ = lazy_names(
    __name__, {"check_dataset": "check", "make_phantom": "phantom", "remap_labels": "remap"}
)
