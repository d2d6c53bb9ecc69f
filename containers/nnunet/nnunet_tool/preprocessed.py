"""Preprocessed cases as nnU-Net's trainer reads them, without unpickling what is not plain data.

nnU-Net reads `CASE.pkl` with `pickle.load`, which runs a program that a file holds. `prepare` writes numbers, names and
arrays alone, so nothing else is read here.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import blosc2
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from contract import UsageError
from contract.pickles import load_plain_pickle

ADVICE = "run the step prepare again"


def check_cases(folder: str, cases: Iterable[str]) -> None:
    """Open every case once: what is wrong is said before hours of training, not by a process that makes batches.

    Raises:
        UsageError: a file is missing or damaged, or holds more than arrays and plain data.
    """
    dataset = PlainDataset(folder, list(cases))
    for case in dataset.identifiers:
        dataset.load_case(case)


class PlainDataset(nnUNetDatasetBlosc2):  # type: ignore[misc]
    """nnU-Net's dataset of compressed arrays."""

    def load_case(self, identifier: str) -> tuple[blosc2.NDArray, blosc2.NDArray, None, dict[str, Any]]:
        """Open a case: image, labels, no labels of an earlier stage, properties.

        Raises:
            UsageError: a file of it is missing or damaged, or holds more than arrays and plain data.
        """
        case = Path(self.source_folder) / identifier
        properties = load_plain_pickle(case.with_name(f"{case.name}.pkl"), ADVICE)
        if not isinstance(properties, dict):
            raise UsageError(f"{case}.pkl: must hold what `prepare` wrote of a case, but does not; {ADVICE}")
        image, labels = (self._open(case.with_name(f"{case.name}{end}.b2nd")) for end in ("", "_seg"))
        return image, labels, None, properties

    def _open(self, file: Path) -> blosc2.NDArray:
        try:
            array = blosc2.open(urlpath=str(file), mode="r", dparams={"nthreads": 1}, **self.mmap_kwargs)
        except Exception as error:  # blosc2 raises all kinds for a file that is damaged, or that holds an expression
            raise UsageError(f"{file}: must be a whole compressed array, but: {error}; {ADVICE}") from error
        if not isinstance(array, blosc2.NDArray):
            raise UsageError(f"{file}: must be a compressed array, but is a {type(array).__name__}; {ADVICE}")
        return array
