"""Dataset folders: checks their files, makes a synthetic one, describes the public ones, remaps label ids.

dataset.yaml, images/, labels/ ──► check ──► sound cases, errors, warnings
anatomy ──► phantom ──► a synthetic dataset folder
known/ ──► dataset.yaml of a public dataset
label map, label mapping ──► remap ──► label map in other ids
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
