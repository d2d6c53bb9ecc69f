"""What a tool's author hands to `run`: a list of cases, or several steps, of which some may be jobs."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.context import Context
from contract.labelmaps import LabelMap
from contract.volumes import Volume

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One case as a tool sees it.

    Attributes:
        name: of the case.
        image: HU in RAS+.
        labels: (X, Y, Z) reference labels on the image's voxels; None unless the tool, or this step, reads labels.
        organs: label id -> organ of the dataset.
    """

    name: str
    image: Volume
    labels: LabelMap | None
    organs: Mapping[int, str]

    def random(self, seed: int, *purpose: str) -> np.random.Generator:
        """Random numbers that depend on the seed, the case and the purpose alone, not on what ran before."""
        key = hashlib.sha256("\0".join([str(seed), self.name, *purpose]).encode()).digest()
        return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], np.uint64)))


@dataclass(frozen=True, slots=True)
class Cases(Generic[Model]):
    """A step that makes a label map of each case.

    Attributes:
        load: makes the model, once a run, and only when there is a case to do.
        segment: (model, case) -> (X, Y, Z) integer labels on the image's voxels.
    """

    load: Callable[[Context], Model]
    segment: Callable[[Model, Case], NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Job:
    """A step that is not a list of cases, such as training. It resumes by itself; once done, it is not done again.

    Attributes:
        work: does it, writing below `context.folder`. SIGTERM raises `Stopped` in it at any point; if a library
            swallows that, the next `context.progress.advance` raises it again.
    """

    work: Callable[[Context], None]


Steps = Cases[Any] | Mapping[str, Cases[Any] | Job]
"""One list of cases, or step of the manifest -> what it does."""
