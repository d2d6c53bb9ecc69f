"""Label ids: a dataset's may have gaps, nnU-Net's are 1..n.

dataset   0 3 7 …  ──to_nnunet──►  0 1 2 …  ──to_dataset──►  0 3 7 …
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import LabelMap


@dataclass(frozen=True, slots=True)
class LabelIds:
    """A dataset's ids, ascending, without the background; the k-th of them, counted from 1, is nnU-Net's id k."""

    ids: tuple[int, ...]

    def to_nnunet(self, labels: LabelMap) -> NDArray[np.int16]:
        """(X, Y, Z) nnU-Net's ids of a map of the dataset's ids; the ids were checked when the file was read."""
        table = np.zeros(max(self.ids) + 1, np.int16)
        table[list(self.ids)] = np.arange(1, len(self.ids) + 1)
        return np.asarray(table[labels])

    def to_dataset(self, labels: NDArray[np.integer[Any]]) -> LabelMap:
        """(X, Y, Z) the dataset's ids of a map of nnU-Net's ids."""
        kind = np.uint8 if max(self.ids) <= np.iinfo(np.uint8).max else np.uint16
        return np.asarray(np.array([0, *self.ids], kind)[labels])

    def table(self, organs: Mapping[int, str]) -> dict[str, int]:
        """The label table of nnU-Net's `dataset.json`; names hold the id, since some names are special to nnU-Net."""
        return {"background": 0} | {f"{i} {organs[i]}": k for k, i in enumerate(self.ids, start=1)}
