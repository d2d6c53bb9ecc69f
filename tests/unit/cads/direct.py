"""One network of CADS as its authors run it: files, nnU-Net's own loading, SimpleITK. It shares nothing with the tool.

direct.py FOLDER IN.nii.gz OUT.nii.gz

FOLDER holds plans.json and dataset.json. The label map is written in RAS+ at 1.5 mm, with nothing removed.
"""

import os
import sys
import tempfile
import types
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

os.environ.update({"nnUNet_def_n_proc": "1"})
# nnU-Net's search for a trainer by name imports these, hence torchvision.
sys.modules["nnunetv2.training.nnUNetTrainer.primus.primus_trainers"] = types.ModuleType("primus_trainers")


def main(folder: str, source: str, target: str) -> None:
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(1)
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(folder, ("all",), "checkpoint_final.pth")
    canonical = nib.as_closest_canonical(nib.load(source))
    spacing = np.linalg.norm(canonical.affine[:3, :3], axis=0)
    voxels = ndimage.zoom(canonical.get_fdata(), spacing / 1.5, order=3).astype(np.int32)
    with tempfile.TemporaryDirectory() as scratch:
        file = str(Path(scratch) / "image.nii.gz")
        nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 1.5, 1])), file)
        image, properties = SimpleITKIO().read_images([file])
        predictor.predict_single_npy_array(image, properties, None, target.removesuffix(".nii.gz"), False)


if __name__ == "__main__":
    main(*sys.argv[1:])
