"""Step `prepare`: read every case, plan once, preprocess once, deal the cases out to five folds.

cases.json                                       folds, label ids, cases that were set aside
Dataset001_NAME/dataset.json nnUNetPlans.json dataset_fingerprint.json splits_final.json
Dataset001_NAME/nnUNetPlans_3d_fullres/CASE.b2nd CASE_seg.b2nd CASE.pkl

The folder is nnU-Net's `nnUNet_preprocessed`. An interrupted run starts over.
"""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from batchgenerators.utilities.file_and_folder_operations import write_pickle
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from contract import CaseError, Context, UsageError, Volume, atomic, log_line
from contract.oserrors import is_machines_fault
from contract.volumes import read_image, read_labels
from nnunet_tool import arrays
from nnunet_tool.cases import (
    FOLDS,
    Prepared,
    assign_folds,
    read_held_out,
    refuse_shard,
    share_out,
    write_prepared,
)
from nnunet_tool.environment import make_deterministic
from nnunet_tool.fingerprint import CaseFingerprint, case_fingerprint, dataset_fingerprint
from nnunet_tool.labelids import LabelIds
from nnunet_tool.planning import make_plans
from nnunet_tool.settings import read_plan_settings


def prepare(context: Context) -> None:
    """Plan, preprocess and deal out the cases.

    Raises:
        UsageError: fewer than five readable cases, names that nnU-Net can't tell apart, an option that doesn't fit, no
            list of the held-out cases where one is needed.
    """
    settings = read_plan_settings(context.options)
    refuse_shard(context)
    _refuse_names(context.cases)
    make_deterministic(context.threads)
    held_out = read_held_out(context)
    _empty_folder(context.folder)
    ids = LabelIds(tuple(context.dataset.labels))
    context.progress.begin(2 * len(context.cases) - len(held_out), "prepare")
    survey = _survey_cases(context, ids, held_out)
    prepared = Prepared(
        dataset=f"Dataset001_{context.dataset.name}",
        configuration=context.arguments.variant,
        organs=context.dataset.labels,
        folds=assign_folds(list(survey.ids_of_cases), int(context.options["seed"])),
        ids_of_cases=survey.ids_of_cases,
        set_aside=survey.set_aside,
        apart=share_out(survey.held_out),
    )
    folder = context.folder / prepared.dataset
    folder.mkdir()
    atomic.write_json(folder / "dataset_fingerprint.json", dataset_fingerprint(survey.fingerprints))
    atomic.write_json(folder / "splits_final.json", prepared.splits())
    dataset_json = _dataset_json(context, prepared)
    plans = make_plans(folder, dataset_json, settings, prepared.configuration)
    for case in sorted(prepared.ids_of_cases):
        _preprocess(context, case, ids, plans, dataset_json)
        context.progress.advance(case, "preprocessed")
    write_prepared(context.folder, prepared)
    _report_problems(context, prepared)


def _refuse_names(cases: Sequence[str]) -> None:
    clashing = sorted(set(cases) & {f"{case}_seg" for case in cases})
    if clashing:
        raise UsageError(
            f"cases must not be named like another one with `_seg` added, since nnU-Net names its files so, but "
            f"{', '.join(clashing)} is; rename it, or leave it out under `exclude:` in dataset.yaml"
        )


def _empty_folder(folder: Path) -> None:
    """Remove the results of an earlier run."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@dataclass(slots=True)
class _Survey:
    """What was read from all cases; of held-out ones only that their images can be read."""

    fingerprints: list[CaseFingerprint] = field(default_factory=list)
    ids_of_cases: dict[str, tuple[int, ...]] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    held_out: list[str] = field(default_factory=list)


def _survey_cases(context: Context, ids: LabelIds, held_out: Collection[str]) -> _Survey:
    """Read every case once: its fingerprint and its organs, or why it is set aside.

    Labels of held-out cases are not read, and their images are in no fingerprint: the plan must not depend on them.
    """
    survey, learned_from = _Survey(), len(context.cases) - len(held_out)
    for case in context.cases:
        try:
            image = _read_image(context, case)
            if case in held_out:
                survey.held_out.append(case)
                context.progress.advance(case, "read, held out")
                continue
            labels = _read_labels(context, case, image, ids)
            survey.fingerprints.append(case_fingerprint(image, labels, learned_from))
        except CaseError as error:
            if is_machines_fault(error):  # no case is left out of all networks for want of memory
                raise
            survey.set_aside[case] = str(error)
            context.progress.advance(case, f"set aside: {error}", failed=True)
            continue
        survey.ids_of_cases[case] = tuple(ids.ids[k - 1] for k in np.unique(labels).tolist() if k)
        context.progress.advance(case, "read")
    return survey


def _read_image(context: Context, case: str) -> Volume:
    """The image of a case.

    Raises:
        CaseError: it can't be read, or all of its voxels are 0, which nnU-Net crops away.
    """
    file = context.dataset.image(case)
    image = read_image(file)
    if not image.array.any():
        raise CaseError(f"{file}: image must show something, but all of its voxels are 0; copy it again")
    return image


def _read_labels(context: Context, case: str, image: Volume, ids: LabelIds) -> NDArray[np.int16]:
    """(X, Y, Z) labels of a case in nnU-Net's ids.

    Raises:
        CaseError: they can't be read, or don't fit the image.
    """
    return ids.to_nnunet(read_labels(context.dataset.label(case), image, context.dataset.labels))


def _dataset_json(context: Context, prepared: Prepared) -> dict[str, Any]:
    """nnU-Net's description of the dataset; files are named from the dataset's folder."""
    return {
        "channel_names": {"0": "CT"},
        "labels": prepared.label_ids.table(context.dataset.labels),
        "numTraining": len(prepared.ids_of_cases),
        "file_ending": ".nii.gz",
        "name": context.dataset.name,
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
        "dataset": {
            case: {"images": [f"images/{case}.nii.gz"], "label": f"labels/{case}.nii.gz"}
            for case in sorted(prepared.ids_of_cases)
        },
    }


def _preprocess(
    context: Context, case: str, ids: LabelIds, plans: dict[str, Any], dataset_json: dict[str, Any]
) -> None:
    """Crop, normalise and resample a case, and store it as nnU-Net does."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration(context.arguments.variant)
    image = _read_image(context, case)
    labels = _read_labels(context, case, image, ids)
    data, segmentation, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        arrays.image_array(image), arrays.reverse_axes(labels)[None], arrays.properties(image), manager,
        configuration, dataset_json,
    )  # fmt: skip
    folder = context.folder / manager.dataset_name / configuration.data_identifier
    folder.mkdir(exist_ok=True)
    _store(folder / f"{case}.b2nd", data.astype(np.float32, copy=False), configuration)
    _store(folder / f"{case}_seg.b2nd", segmentation.astype(np.int16, copy=False), configuration)
    write_pickle(properties, str(folder / f"{case}.pkl"))


def _store(file: Path, array: NDArray[Any], configuration: ConfigurationManager) -> None:
    """Compress an array in chunks of a patch's size, in one thread: the order of several would vary."""
    blocks, chunks = comp_blosc2_params(array.shape, tuple(configuration.patch_size), array.itemsize)
    parameters = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "filters": [blosc2.Filter.SHUFFLE], "nthreads": 1}
    blosc2.asarray(np.ascontiguousarray(array), urlpath=str(file), chunks=chunks, blocks=blocks, cparams=parameters)


def _report_problems(context: Context, prepared: Prepared) -> None:
    """Record cases that were set aside and organs that can't be learned, in the log and in run.json."""
    absent = {f"fold-{fold}": list(organs) for fold in range(FOLDS) if (organs := prepared.absent_organs(fold))}
    context.facts["set_aside"] = dict(prepared.set_aside)
    context.facts["organs_without_training_cases"] = absent
    for fold, organs in absent.items():
        log_line(f"{fold}: no training case has {', '.join(organs)}; its cases will not get it")
    readable, aside = len(prepared.ids_of_cases), len(prepared.set_aside)
    apart = sum(len(cases) for cases in prepared.apart)
    context.progress.end(
        f"{readable} cases in {FOLDS} folds, {f'{apart} held out, ' if apart else ''}{aside} set aside"
    )
