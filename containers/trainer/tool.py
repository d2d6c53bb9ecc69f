"""Train a DynUNet on one version of a dataset's labels, and predict with it.

Steps load their modules when they run: torch and MONAI take seconds to import, and `describe` needs neither.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contract import Case, Cases, Context, Job, run

if TYPE_CHECKING:
    from dynunet_trainer.inference import Predictor


def _prepare(context: Context) -> None:
    from dynunet_trainer.prepare import prepare

    prepare(context)


def _prepare_labels(context: Context) -> None:
    from dynunet_trainer.prepare_labels import prepare_labels

    prepare_labels(context)


def _train(context: Context) -> None:
    from dynunet_trainer.training import train

    train(context)


def _load(context: Context) -> "Predictor":
    from dynunet_trainer.inference import load_predictor

    return load_predictor(context)


def _segment(predictor: "Predictor", case: Case) -> NDArray[np.integer]:
    from dynunet_trainer.inference import segment

    return segment(predictor, case)


STEPS: dict[str, Cases[Any] | Job] = {
    "prepare": Job(_prepare),
    "prepare-labels": Job(_prepare_labels),
    "train": Job(_train),
    "predict": Cases(_load, _segment),
}

if __name__ == "__main__":
    raise SystemExit(run(__file__, STEPS))
