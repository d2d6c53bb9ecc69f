"""What nnU-Net itself makes of the same files: run in the tool's environment, prints JSON of what differs.

oracle.py DATASET-FOLDER PREPARED-FOLDER FOLD-FOLDER CASE SCRATCH
"""

import json
import shutil
import sys
from pathlib import Path

import blosc2
import nibabel as nib
import numpy as np
import torch
from nnunet_tool.fingerprint import case_fingerprint, dataset_fingerprint
from nnunet_tool.labelids import LabelIds
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from contract.volumes import read_image, read_labels

IDS = LabelIds((3, 7))


def predicted_by_nnunet(image: Path, prepared: Path, fold: Path, scratch: Path) -> np.ndarray:
    """(Z, Y, X) nnU-Net's ids: its predictor, its own reader, the model in a folder as nnU-Net lays it out."""
    (scratch / "fold_0").mkdir(parents=True)
    shutil.copy(prepared / "dataset.json", scratch)
    shutil.copy(prepared / "nnUNetPlans.json", scratch / "plans.json")
    shutil.copy(fold / "checkpoint_final.pth", scratch / "fold_0")
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(scratch), (0,), "checkpoint_final.pth")
    array, properties = NibabelIOWithReorient().read_images([str(image)])
    return np.asarray(predictor.predict_single_npy_array(array, properties, None, None, False))


def preprocessed_by_nnunet(image: Path, label: Path, prepared: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Voxels, labels and properties: its preprocessor on the files."""
    plans = PlansManager(str(prepared / "nnUNetPlans.json"))
    return DefaultPreprocessor(verbose=False).run_case(
        [str(image)], str(label), plans, plans.get_configuration("3d_fullres"), str(prepared / "dataset.json")
    )


def main() -> None:
    """Compare."""
    dataset, prepared, fold, case, scratch = (Path(argument) for argument in sys.argv[1:])
    image, label = dataset / "images" / f"{case}.nii.gz", dataset / "labels" / f"{case}.nii.gz"
    prepared = prepared / "Dataset001_toy"
    volume = read_image(image)
    labels = IDS.to_nnunet(read_labels(label, volume, (3, 7)))
    theirs = predicted_by_nnunet(image, prepared, fold, scratch).transpose(2, 1, 0)
    ours = IDS.to_nnunet(read_labels(fold / f"{case}.nii.gz", volume, (3, 7)))

    consecutive = scratch / f"{case}.nii.gz"
    stored = nib.load(label)
    nib.save(nib.Nifti1Image(IDS.to_nnunet(np.asarray(stored.dataobj)), stored.affine), consecutive)
    data, segmentation, properties = preprocessed_by_nnunet(image, consecutive, prepared)
    files = prepared / "nnUNetPlans_3d_fullres" / str(case)
    kept = np.load(files.with_name(f"{case}.pkl"), allow_pickle=True)

    mine = case_fingerprint(volume, labels, cases=1000)
    shape, spacing, intensities, _, kept_share = DatasetFingerprintExtractor.analyze_case(
        [str(image)], str(consecutive), NibabelIOWithReorient, num_samples=10_000
    )
    joined = dataset_fingerprint([mine])["foreground_intensity_properties_per_channel"]["0"]
    print(  # noqa: T201 - this is the answer
        "oracle: "
        + json.dumps(
            {
                "voxels with a label": int((ours > 0).sum()),
                "labels that differ": int((theirs != ours).sum()),
                "preprocessed voxels that differ": int((blosc2.open(f"{files}.b2nd")[:] != data).sum()),
                "preprocessed labels that differ": int((blosc2.open(f"{files}_seg.b2nd")[:] != segmentation).sum()),
                "class locations agree": all(
                    np.array_equal(kept["class_locations"][k], where)
                    for k, where in properties["class_locations"].items()
                ),
                "fingerprints agree": (mine.shape, list(mine.spacing_mm), mine.kept)
                == (tuple(shape), list(spacing), float(kept_share)),
                "intensities agree": np.array_equal(mine.intensities, np.asarray(intensities[0])),
                "percentiles agree": [joined["percentile_00_5"], joined["median"], joined["percentile_99_5"]]
                == np.percentile(mine.intensities, (0.5, 50.0, 99.5)).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
