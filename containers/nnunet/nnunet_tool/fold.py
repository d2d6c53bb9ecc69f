"""Steps `fold-0` … `fold-4`: train on the cases of the other four folds, then label the fold's own.

CASE.nii.gz           label map of each case that it labels, in the dataset's ids, on the case's own grid
fold.json             the cases that were trained on, counted from the batches, and those that were labelled
log.csv               learning rate, losses and Dice of each epoch
checkpoint_final.pth  the model, as nnU-Net names it

The checkpoint (hidden) is replaced every few epochs: a run that was killed goes on from it and ends in the same bytes.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from numpy.typing import NDArray

from contract import Context, Volume, atomic, log_line, records
from contract.datasets import SUFFIX
from contract.volumes import read_image, write_labels
from nnunet_tool import arrays, checkpoint, foldrecord
from nnunet_tool.cases import Prepared, read_prepared, refuse_shard
from nnunet_tool.checkpoint import RunConfig, Trained
from nnunet_tool.environment import make_cudnn_deterministic, make_deterministic, open_device
from nnunet_tool.foldrecord import FoldRecord
from nnunet_tool.settings import read_train_settings
from nnunet_tool.trainer import Epoch, FoldTrainer, fold_trainer

LOG = "log.csv"


def run_fold(context: Context, fold: int) -> None:
    """Train a fold's network and label its cases, and its share of those that a study holds out.

    Raises:
        UsageError: no results of `prepare`, no such device, a loss that is not finite.
        Stopped: SIGTERM came; the checkpoint holds the epochs up to the last time it was written.
    """
    refuse_shard(context)
    folder = context.input_folder("prepare")
    prepared = read_prepared(folder)
    device = open_device(context.arguments.device)
    make_deterministic(context.threads)
    run_config = _run_config(context, fold, device)
    _report_fold(context, prepared, fold, device)
    settings, cases = read_train_settings(context.options), prepared.labelled_cases(fold)
    with fold_trainer(folder, prepared, fold, settings, device) as trainer:
        trained = _train_or_restore(context, trainer, run_config)
        atomic.write_text(context.folder / LOG, _format_log(trained.log))
        for case in cases:
            _label_case(context, trainer, prepared, case)
    foldrecord.write_record(context.folder, FoldRecord(fold, trained.drawn, cases))
    (context.folder / checkpoint.STATE).unlink(missing_ok=True)
    context.progress.end(f"fold-{fold}: {len(cases)} cases labelled")


def _run_config(context: Context, fold: int, device: torch.device) -> RunConfig:
    """All that the bits of the result depend on."""
    return {
        "version": context.manifest.version,
        "dataset": context.dataset.name,
        "fold": fold,
        "options": dict(context.options),
        "prepare": records.outputs_digest(context.input_folder("prepare")),
        "threads": context.threads,
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(device),
        "torch": str(torch.__version__),
        "nnunetv2": version("nnunetv2"),
    }


def _report_fold(context: Context, prepared: Prepared, fold: int, device: torch.device) -> None:
    """Record device and missing organs of this fold in run.json and in the log."""
    absent = prepared.absent_organs(fold)
    context.facts["device"] = str(device)
    context.facts["organs_without_training_cases"] = list(absent)
    if absent:
        log_line(f"fold-{fold}: no training case has {', '.join(absent)}; its cases will not get it")


def _train_or_restore(context: Context, trainer: FoldTrainer, run_config: RunConfig) -> Trained:
    """Train, or restore the model that this run had trained when it was stopped."""
    folder, overwrite = context.folder, context.arguments.overwrite
    trained = None if overwrite else checkpoint.restore_model(folder, run_config, trainer)
    if trained is None or (folder / foldrecord.FILE).exists():
        # Label maps are kept only from a run that was stopped between its training and its record.
        _remove_results(folder, keep_model=trained is not None)
    log = [] if trained or overwrite else checkpoint.restore_state(folder, run_config, trainer)
    total, done = trainer.settings.epochs, len(trained.log if trained else log)
    context.progress.begin(total + len(trainer.labelled), f"fold-{trainer.fold}", done=done)
    return trained or _train(context, trainer, run_config, log)


def _remove_results(folder: Path, *, keep_model: bool) -> None:
    """Remove the results of an earlier run, but not its checkpoint."""
    for path in folder.iterdir():
        if not path.name.startswith(".") and not (keep_model and path.name == checkpoint.MODEL):
            path.unlink()


def _train(context: Context, trainer: FoldTrainer, run_config: RunConfig, log: list[Epoch]) -> Trained:
    """Train the remaining epochs, and write the model."""
    trainer.start()
    while trainer.current_epoch < trainer.settings.epochs:
        epoch = trainer.run_epoch(context.progress.check_stop)
        log.append(epoch)
        if len(log) % trainer.settings.checkpoint_every == 0:
            checkpoint.save_state(context.folder, run_config, trainer, log)
        context.progress.advance(f"epoch {len(log)}", f"loss {epoch.train_loss:.3f}, Dice {epoch.validation_dice:.3f}")
    trainer.end()
    checkpoint.save_model(context.folder, run_config, trainer, log)
    return Trained(log, dict(trainer.drawn))


def _format_log(log: list[Epoch]) -> str:
    """Format the log as CSV, a line an epoch."""
    lines = [
        f"{number},{e.learning_rate!r},{e.train_loss!r},{e.validation_loss!r},{e.validation_dice!r}\n"
        for number, e in enumerate(log, start=1)
    ]
    return "".join(["epoch,learning_rate,train_loss,validation_loss,validation_dice\n", *lines])


def _label_case(context: Context, trainer: FoldTrainer, prepared: Prepared, case: str) -> None:
    """Write a case's label map, unless this run did so before it was stopped."""
    file = context.folder / f"{case}{SUFFIX}"
    if not file.exists():
        image = read_image(context.dataset.image(case))
        write_labels(file, prepared.label_ids.to_dataset(predict(trainer, image, context.threads)), image)
    context.progress.advance(case, "labelled")


def predict(trainer: FoldTrainer, image: Volume, threads: int) -> NDArray[np.integer[Any]]:
    """Predict (X, Y, Z) nnU-Net's ids of an image, as nnU-Net does from a raw file, without its pools of processes."""
    plans, configuration = trainer.plans_manager, trainer.configuration_manager
    data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        arrays.image_array(image), None, arrays.properties(image), plans, configuration, trainer.dataset_json
    )
    logits = _make_predictor(trainer).predict_sliding_window_return_logits(torch.from_numpy(data)).cpu()
    if trainer.unlearned:
        logits = logits.clone()
        logits[trainer.unlearned] = torch.finfo(logits.dtype).min
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans, configuration, trainer.label_manager, properties, num_threads_torch=threads
    )
    return arrays.reverse_axes(labels)


def _make_predictor(trainer: FoldTrainer) -> nnUNetPredictor:
    """Make nnU-Net's predictor with the trainer's network: windows that overlap by half, weighted by a Gaussian."""
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=trainer.inference_allowed_mirroring_axes is not None,
        perform_everything_on_device=True, device=trainer.device, allow_tqdm=False,
    )  # fmt: skip
    make_cudnn_deterministic()
    trainer.set_deep_supervision_enabled(enabled=False)
    predictor.manual_initialization(
        trainer.network, trainer.plans_manager, trainer.configuration_manager, None, trainer.dataset_json,
        "nnUNetTrainer", trainer.inference_allowed_mirroring_axes,
    )  # fmt: skip
    return predictor
