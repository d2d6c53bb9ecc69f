"""CT series, segmentations and structure sets in DICOM, written from volumes: an oracle for what is imported of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PERSONAL = {
    "PatientName": "QXDOE^QXJANE", "PatientID": "QXID77123", "PatientBirthDate": "19470513", "PatientSex": "F",
    "PatientAddress": "QXSTREET 5", "OtherPatientNames": "QXMAIDEN^NAME", "InstitutionName": "QXCLINIC HEIGHTS",
    "InstitutionAddress": "QXROAD 9", "ReferringPhysicianName": "QXREFER^ANN", "PerformingPhysicianName": "QXPERF^BOB",
    "OperatorsName": "QXOPER^CAT", "AccessionNumber": "QXACC9931", "StudyID": "QXSTUDY41", "StudyDate": "20190817",
    "SeriesDate": "20190818", "AcquisitionDate": "20190819", "ContentDate": "20190820", "StudyTime": "101112",
    "StudyDescription": "QXSTUDYDESC JANE", "SeriesDescription": "QXSERIESDESC JANE", "ProtocolName": "QXPROTO JANE",
    "ImageComments": "QXCOMMENT JANE", "PatientComments": "QXPATCOMMENT", "StationName": "QXSTATION",
    "DeviceSerialNumber": "QXSERIAL55",
}  # fmt: skip
"""What stands in the header of each file that is written here, and must stand in none that an import makes."""


def grid_affine(
    spacing_mm: Sequence[float], origin_mm: Sequence[float], rotation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(4, 4) affine, voxel -> RAS mm, of orthonormal (3, 3) axes."""
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.asarray(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


def write_ct(
    folder: Path,
    image: NDArray[np.integer],
    affine: NDArray[np.float64],
    *,
    key: str = "a",
    name: Callable[[int], str] = lambda number: f"IM{(number * 7919) % 10007:05d}",
    change: Callable[[Dataset, int], None] = lambda header, number: None,
) -> list[Path]:
    """Write one file a slice.

    Args:
        folder: where; made if need be.
        image: (X, Y, Z) HU; the first axis runs along the rows of the slices.
        affine: voxel -> RAS mm, orthogonal.
        key: of the UIDs; another one is another series of another patient.
        name: number of a slice -> its file's name; by default in another order than the slices.
        change: is called with the header and number of each slice before it is written.

    Returns:
        The files, in the order of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(image.shape[2]):
        header = describe_slice(image[:, :, number], affine, number, key)
        change(header, number)
        files.append(folder / name(number))
        save(files[-1], header)
    return files


def describe_slice(pixels: NDArray[np.integer], affine: NDArray[np.float64], number: int, key: str) -> Dataset:
    """The object of one slice; its stored values are HU + 1024."""
    lps = TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    header = new_object(CTImageStorage, key, f"slice {number}")
    header.Modality, header.SeriesNumber, header.ImageType = "CT", 3, ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SeriesInstanceUID, header.FrameOfReferenceUID = make_uid(key, "series"), make_uid(key, "frame")
    header.InstanceNumber, header.AcquisitionNumber = number + 1, 1
    header.ImagePositionPatient = decimals(lps[:3, 3] + number * lps[:3, 2])
    header.ImageOrientationPatient = decimals([*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])])
    header.PixelSpacing, header.SliceThickness = decimals([spacing[1], spacing[0]]), decimals([spacing[2]])[0]
    header.Rows, header.Columns = pixels.shape[1], pixels.shape[0]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = "1", "-1024", "HU"
    header.ConvolutionKernel, header.Manufacturer, header.PatientPosition = "B30f", "SIEMENS", "HFS"
    header.PixelData = (pixels.T.astype(np.int32) + 1024).astype("<i2").tobytes()
    return header


def new_object(kind: str, key: str, instance: str) -> Dataset:
    """An object with all personal fields and the UIDs of a study."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = kind
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = make_uid(key, instance)
    header.StudyInstanceUID = make_uid(key, "study")
    for keyword, value in PERSONAL.items():
        setattr(header, keyword, value)
    return header


def write_rtstruct(
    path: Path, reference: Path, rois: Mapping[str, Sequence[NDArray[np.float64]]], *, kind: str = "CLOSED_PLANAR"
) -> None:
    """Write a structure set.

    Args:
        path: of its file.
        reference: a slice of the series that it belongs to.
        rois: name -> contours, each (N, 3) RAS mm.
        kind: geometric type of the contours.
    """
    image = dcmread(reference, stop_before_pixels=True)
    header = new_object(RTStructureSetStorage, str(image.StudyInstanceUID), "structures")
    header.StudyInstanceUID, header.Modality, header.SeriesNumber = image.StudyInstanceUID, "RTSTRUCT", 99
    header.SeriesInstanceUID = generate_uid(entropy_srcs=[str(path)])
    header.StructureSetLabel = "QXSETLABEL"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = image.SeriesInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = image.FrameOfReferenceUID, [study]
    header.ReferencedFrameOfReferenceSequence = [frame]
    header.StructureSetROISequence, header.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), 5):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, image.FrameOfReferenceUID
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{value:.2f}" for value in (points * [-1, -1, 1]).ravel()]
            drawn.ContourSequence.append(contour)
        header.StructureSetROISequence.append(roi)
        header.ROIContourSequence.append(drawn)
    save(path, header)


def save(path: Path, header: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, header, enforce_file_format=True)


def make_uid(key: str, what: str) -> str:
    """A UID: the same for the same words."""
    return str(generate_uid(entropy_srcs=[key, what]))


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{value:.8f}"[:16] for value in values]
