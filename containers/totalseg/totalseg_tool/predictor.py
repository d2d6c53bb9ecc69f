"""Predictors that TotalSegmentator uses in place of an `nnUNetPredictor` for every model of every case.

package    makes a predictor ── reads the checkpoint ── starts 2 pools of processes ── predicts        every time
here       the checkpoint is read once a run; preprocessing and export are done in this process

The results are the same: nnU-Net's `predict_from_files_sequential` calls the functions that its pools call.
"""

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainerNoMirroring,
)
from nnunetv2.training.nnUNetTrainer.variants.training_length.nnUNetTrainer_Xepochs_NoMirroring import (
    nnUNetTrainer_4000epochs_NoMirroring,
)
from totalsegmentator import nnunet as package

from contract.pickles import plain_data_only
from contract.plans import refuse_programs

TRAINERS = (nnUNetTrainerNoMirroring, nnUNetTrainer_4000epochs_NoMirroring)
"""Classes that the checkpoints of task `total` name; nnU-Net's search for a class by name imports torchvision."""

ADVICE = "remove it and fetch the weights again"
CHANNEL = "_0000.nii.gz"
"""End of an image's file name, with the number of its channel."""


@dataclass(frozen=True, slots=True)
class Predictors:
    """Makes predictors as `nnUNetPredictor` does, for models that are in memory.

    Attributes:
        threads: CPU threads, exactly; the package would use all.
        models: folder of a trained model -> the predictor that read it.
    """

    threads: int
    models: dict[str, nnUNetPredictor] = field(default_factory=dict)

    def install(self) -> None:
        """Let TotalSegmentator make its predictors here, and find the trainers without a search."""
        package.nnUNetPredictor = self
        package.custom_trainers.update({trainer.__name__: trainer for trainer in TRAINERS})

    def read(self, folder: str, folds: list[int]) -> None:
        """Read a trained model and keep it.

        Args:
            folder: with plans.json, dataset.json and `fold_<i>/checkpoint_final.pth`.
            folds: of these checkpoints.

        Raises:
            UsageError: the folder does not hold such a model.
        """
        refuse_programs(Path(folder).resolve() / "plans.json", ADVICE)
        reader = nnUNetPredictor(device=torch.device("cpu"))
        with plain_data_only(Path(folder).resolve(), torch.serialization.safe_globals, ADVICE):
            reader.initialize_from_trained_model_folder(folder, folds, "checkpoint_final.pth")
        self.models[folder] = reader

    def __call__(self, **settings: Any) -> "Predictor":  # noqa: ANN401 - step of the tiles, mirroring, device …
        """Make a predictor; the arguments are those of `nnUNetPredictor`."""
        predictor = nnUNetPredictor(**settings)
        # The package and nnU-Net have just set these for speed; with our values the same input gives the same labels.
        torch.set_num_threads(self.threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        return Predictor(predictor, self.models)


@dataclass(frozen=True, slots=True)
class Predictor:
    """The part of `nnUNetPredictor` that TotalSegmentator uses.

    Attributes:
        predictor: does the work.
        models: folder of a trained model -> the predictor that read it.
    """

    predictor: nnUNetPredictor
    models: dict[str, nnUNetPredictor]

    def initialize_from_trained_model_folder(self, folder: str, use_folds: list[int], checkpoint_name: str) -> None:
        """Take a model that is in memory."""
        del use_folds, checkpoint_name  # `Predictors.read` had the same values
        model = self.models[folder]
        self.predictor.manual_initialization(
            model.network, model.plans_manager, model.configuration_manager, model.list_of_parameters,
            model.dataset_json, model.trainer_name, model.allowed_mirroring_axes,
        )  # fmt: skip

    def predict_from_files(
        self,
        source: str,
        target: str,
        *,
        save_probabilities: bool,
        use_cropped_logits_resampling: bool = False,
        **pools: Any,  # noqa: ANN401
    ) -> None:
        """Predict each `source/<name>_0000.nii.gz` into `target/<name>.nii.gz`, without other processes.

        Args:
            source: folder of images.
            target: folder of labels.
            save_probabilities: write scores as well.
            use_cropped_logits_resampling: TotalSegmentator's way to resample scores rather than labels.
            pools: sizes of pools and parts of lists, which are not used here.
        """
        del pools
        # Lists, not folders: nnU-Net starts a pool of processes to list a folder, even here.
        images = sorted(Path(source).glob(f"*{CHANNEL}"))
        self.predictor.predict_from_files_sequential(
            [[str(image)] for image in images],
            [str(Path(target) / image.name.removesuffix(CHANNEL)) for image in images],
            save_probabilities,
            use_cropped_logits_resampling=use_cropped_logits_resampling,
        )


def silence_output() -> contextlib.redirect_stdout[io.StringIO]:
    """Drop what nnU-Net and TotalSegmentator print inside the `with`: folders and steps, no problems."""
    return contextlib.redirect_stdout(io.StringIO())
