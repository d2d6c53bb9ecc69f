"""TotalSegmentator's own function on files, as anybody would call it, with its own process pools and its own loading.

direct.py WEIGHTS MODE ORDER IN.nii.gz OUT.nii.gz [IN OUT …]

It shares nothing with the tool but the trainers' names: without them nnU-Net's search by name needs torchvision.
"""

import json
import os
import sys
import tempfile
from pathlib import Path


def main(weights: str, mode: str, order: str, *files: str) -> None:
    """Segment files."""
    with tempfile.TemporaryDirectory() as home:
        config = {"totalseg_id": "test", "send_usage_stats": False, "prediction_counter": 0}
        (Path(home) / "config.json").write_text(json.dumps({**config, "statistics_disclaimer_shown": True}))
        os.environ.update({"TOTALSEG_HOME_DIR": home, "TOTALSEG_WEIGHTS_PATH": weights})
        import totalsegmentator.nnunet as package
        from nnunetv2.training.nnUNetTrainer.variants.data_augmentation import nnUNetTrainerNoMirroring as parts
        from nnunetv2.training.nnUNetTrainer.variants.training_length import nnUNetTrainer_Xepochs_NoMirroring as fast
        from totalsegmentator.python_api import totalsegmentator

        for module, name in ((parts, "nnUNetTrainerNoMirroring"), (fast, "nnUNetTrainer_4000epochs_NoMirroring")):
            package.custom_trainers[name] = getattr(module, name)
        for source, target in zip(files[::2], files[1::2], strict=True):
            totalsegmentator(
                source, target, ml=True, task="total", device="cpu", fast=mode == "3mm", fastest=mode == "6mm",
                resampling_order=int(order), quiet=True,
            )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
