"""A home folder for TotalSegmentator with its models, so that it downloads nothing and reports nothing.

    home/config.json      usage statistics off, the notice about them shown
    home/models/<Dataset…> -> the weights whose sha256 was checked, no others

The package removes folders with old names from its models' folder and downloads missing ones; in a folder of links to
the checked weights it does neither.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

CONFIG = {
    "totalseg_id": "totalseg_00000000",
    "send_usage_stats": False,
    "prediction_counter": 0,
    "statistics_disclaimer_shown": True,
}


def prepare_home(home: Path, models: Mapping[str, Path], threads: int) -> None:
    """Fill the home folder and set environment variables; to be called before TotalSegmentator is imported.

    Args:
        home: an empty folder that can be written to.
        models: name of a Dataset folder -> where it is.
        threads: CPU threads, exactly.
    """
    links = home / "models"
    links.mkdir()
    for name, folder in models.items():
        (links / name).symlink_to(folder.resolve())
    (home / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    os.environ.update(
        {
            "TOTALSEG_HOME_DIR": str(home),
            "TOTALSEG_WEIGHTS_PATH": str(links),
            **dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(links)),
            "nnUNet_def_n_proc": str(threads),  # limits torch's threads in nnU-Net; read at import
            "nnUNet_n_proc_DA": "1",  # read at import; without it a shell is started
            "nnUNet_compile": "f",  # needs a compiler
        }
    )
