"""The samples' two labelled CTs in the layouts that people have."""

from pathlib import Path

import nibabel as nib
import numpy as np
from helpers.dicomlabels import write_seg
from helpers.dicomseries import write_ct
from helpers.distributions import save, write_json
from numpy.typing import NDArray

from coordinator.datasets.importing.descriptions import describe_known

TABLE = dict(describe_known("totalsegmentator").labels or {})
SCANS = {"ts_a": "seg117_fast", "ts_b": "seg117_las"}
"""Sample -> its label map."""
SUBJECTS = {"ts_a": "s0011", "ts_b": "s0058"}
"""Sample -> its name in TotalSegmentator's layout."""


def write_nnunet(samples: Path, source: Path) -> None:
    """`imagesTr` with `_0000`, `labelsTr`, and nnU-Net's dataset.json."""
    for scan, labels in SCANS.items():
        _link(samples / scan / "ct.nii.gz", source / "imagesTr" / f"{scan}_0000.nii.gz")
        _link(samples / scan / f"{labels}.nii.gz", source / "labelsTr" / f"{scan}.nii.gz")
    labels = {"background": 0, **{organ: i for i, organ in TABLE.items()}}
    write_json(source / "dataset.json", {"channel_names": {"0": "CT"}, "labels": labels})


def write_msd(samples: Path, source: Path) -> None:
    """`imagesTr`, `labelsTr`, and the Decathlon's dataset.json."""
    for scan, labels in SCANS.items():
        _link(samples / scan / "ct.nii.gz", source / "imagesTr" / f"{scan}.nii.gz")
        _link(samples / scan / f"{labels}.nii.gz", source / "labelsTr" / f"{scan}.nii.gz")
    table = {"0": "background", **{str(i): organ for i, organ in TABLE.items()}}
    write_json(source / "dataset.json", {"modality": {"0": "CT"}, "labels": table, "licence": "Apache-2.0"})


def write_totalsegmentator(samples: Path, source: Path) -> None:
    """A folder for each scan with a mask for each organ; of one of them only of organs that it shows."""
    for scan, labels in SCANS.items():
        folder = source / SUBJECTS[scan]
        _link(samples / scan / "ct.nii.gz", folder / "ct.nii.gz")
        image = nib.load(samples / scan / f"{labels}.nii.gz")
        voxels = np.asarray(image.dataobj)
        present = set(np.unique(voxels).tolist())
        for i, organ in TABLE.items():
            if i in present or scan == "ts_a":
                save(folder / "segmentations" / f"{organ}.nii.gz", (voxels == i).astype(np.uint8), image.affine)


def write_bids(samples: Path, source: Path) -> None:
    """Images below subjects, label maps and their table below derivatives."""
    for scan, labels in SCANS.items():
        subject = f"sub-{scan[-1]}"
        _link(samples / scan / "ct.nii.gz", source / subject / "ct" / f"{subject}_ct.nii.gz")
        derived = source / "derivatives" / "seg" / subject / "ct" / f"{subject}_desc-organs_dseg.nii.gz"
        _link(samples / scan / f"{labels}.nii.gz", derived)
    rows = "".join(f"{i}\t{organ}\n" for i, organ in TABLE.items())
    (source / "derivatives" / "seg" / "dseg.tsv").write_text(f"index\tname\n{rows}")


def write_dicom(samples: Path, source: Path) -> None:
    """A folder for each scan, with its slices and a segmentation object."""
    for scan in SCANS:
        slices, masks = write_series(samples, scan, source / scan)
        write_seg(source / scan / "seg" / "1.dcm", slices, masks)


def read_sample(samples: Path, scan: str) -> tuple[NDArray[np.int16], NDArray[np.generic], NDArray[np.float64]]:
    """HU, label ids and affine of a scan, (X, Y, Z), x to the left and y to the back as in most series."""
    files = [samples / scan / f"{name}.nii.gz" for name in ("ct", SCANS[scan])]
    target = nib.orientations.axcodes2ornt("LPS")
    images = [image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), target))
              for image in map(nib.load, files)]  # fmt: skip
    image, labels = (np.asarray(image.dataobj) for image in images)
    return image.astype(np.int16), labels.astype(np.uint8), images[0].affine


def write_series(samples: Path, scan: str, folder: Path) -> tuple[list[Path], dict[str, NDArray[np.bool_]]]:
    """A scan as a DICOM series: the files of its slices, and organ -> (X, Y, Z) mask on them."""
    image, labels, affine = read_sample(samples, scan)
    slices = write_ct(folder / "ct", image, affine, key=scan)
    return slices, {TABLE[i]: labels == i for i in np.unique(labels).tolist() if i}


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)
