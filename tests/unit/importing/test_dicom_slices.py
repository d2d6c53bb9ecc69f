"""Slices that form no volume: the error names the case, the series and what is wrong; the other cases are imported."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.dicomcases import AXES, draw, expect_volume, import_into_data, place
from helpers.dicomseries import decimals, save, write_ct
from highdicom import UID
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from contract.errors import CaseError
from contract.volumes import read_image
from coordinator.datasets.importing.dicom.slices import Slice, arrange

Captured = pytest.CaptureFixture[str]
Change = Callable[[Dataset, int], None]


def move(by: Callable[[int], float], axis: int) -> Change:
    """Move slices along an axis by so many mm."""

    def change(header: Dataset, number: int) -> None:
        position = np.array(header.ImagePositionPatient, float)
        position[axis] += by(number)
        header.ImagePositionPatient = decimals(position)

    return change


def turn(header: Dataset, number: int) -> None:
    if number == 7:
        cosine, sine = np.cos(np.radians(3)), np.sin(np.radians(3))
        header.ImageOrientationPatient = decimals([1, 0, 0, 0, cosine, sine])


def widen(header: Dataset, number: int) -> None:
    if number > 11:
        header.PixelSpacing = ["9.2", "8.4"]


def cut(header: Dataset, number: int) -> None:
    if number == 3:
        header.Rows = 20
        header.PixelData = header.PixelData[: 20 * header.Columns * 2]


def drop(keyword: str) -> Change:
    def change(header: Dataset, number: int) -> None:
        if number == 5:
            delattr(header, keyword)

    return change


def set_position(values: list[str]) -> Change:
    def change(header: Dataset, number: int) -> None:
        if number == 5:
            header.ImagePositionPatient = values

    return change


def count_others(header: Dataset, number: int) -> None:
    header.RescaleType = "US"


def enhance(header: Dataset, number: int) -> None:
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage


BROKEN: dict[str, tuple[Change, str]] = {
    "missing": (move(lambda n: 12.5 * (n > 8), 2), "no slice may be missing, but about 1 are: neighbours are 12.50 mm apart, and none lies between 12.50 and 37.50 mm"),
    "two gaps": (move(lambda n: 25.0 * (n > 2) + 12.5 * (n > 8), 2), "about 3 are"),
    "doubled": (move(lambda n: -12.5 * (n == 9), 2), "each place must have one slice, but 1 of 14 have several: at 12.50 mm"),
    "two phases": (move(lambda n: -12.5 * (n % 2), 2), "but some"),
    "not parallel": (turn, "slices must be parallel, with rows in one direction, but 1 of 15 differ (their normals by up to 3 degrees)"),
    "uneven": (move(lambda n: 3.0 * (n == 6), 2), "slices must be evenly spaced, but are 9.50 to 15.50 mm apart, up to 3.00 mm off their place"),
    "tilted": (move(lambda n: 2.0 * n, 1), "slices must lie above each other, but are shifted sideways by up to 28.00 mm, as by a gantry tilted by 9.1 degrees"),
    "other pixels": (widen, "slices must have pixels of one size, but these are from 9.1x8.4 to 9.2x8.4 mm large"),
    "other size": (cut, "slices must have one number of rows and columns, but 14 have 37x44, 1 have 20x44"),
    "no position": (drop("ImagePositionPatient"), "headers must state ImagePositionPatient, but one doesn't"),
    "no offset": (drop("RescaleIntercept"), "headers must state RescaleIntercept, but one doesn't"),
    "no number": (set_position(["nan", "1", "2"]), "headers must state places by 3, 6 and 2 numbers, but one doesn't"),
    "two numbers": (set_position(["1", "2"]), "headers must state places by 3, 6 and 2 numbers, but one doesn't"),
    "no HU": (count_others, "voxels must be HU, but a header says that they are something else"),
    "many frames": (enhance, "objects of many frames must say where each lies, but one doesn't"),
}  # fmt: skip
BROKEN["two phases"] = (
    move(lambda n: -12.5 * (n % 2), 2),
    "each place must have one slice, but 7 of 8 have several",
)


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")  # pydicom's when it writes it
@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_series_that_is_no_volume_is_set_aside_with_its_name(
    change: Change, message: str, tmp_path: Path, capfd: Captured
):
    affine = place()
    image = draw(1, affine)[0]
    write_ct(tmp_path / "s" / "sound", image, affine)
    write_ct(tmp_path / "s" / "broken", image, affine, key="b", change=change)

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert ended.err.startswith("error: broken: set aside: series 3: ")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert [path.name for path in (tmp_path / "data" / "s" / "images").iterdir()] == ["sound.nii.gz"]


def test_each_place_twice_is_said_to_be_several_phases():
    slices = [Slice(f"{n}", (0, 0, 2.0 * (n // 2)), (1, 0, 0, 0, 1, 0), (1, 1), (5, 6)) for n in range(10)]

    with pytest.raises(CaseError, match="each of 5 has 2: several phases or reconstructions in one series"):
        arrange(slices)


@pytest.mark.parametrize("step_mm", [0.625, 1.25, 2.5])
def test_headers_of_few_decimals_form_an_even_grid(step_mm: float):
    axes = [round(value, 4) for value in (np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3), np.cos(0.3), 0)]
    slices = [Slice(f"{n}", (0, 0, round(step_mm * n, 2)), tuple(axes), (0.7, 0.8), (5, 6)) for n in range(400, 0, -1)]

    files, grid = arrange(slices)

    assert files == tuple(str(n) for n in range(1, 401))
    assert grid.shape == (6, 5, 400)
    assert np.allclose(grid.spacing_mm, (0.8, 0.7, step_mm), atol=1e-4)


def test_a_file_that_was_cut_short_is_damage_of_its_series(tmp_path: Path, capfd: Captured):
    affine = place()
    image = draw(1, affine)[0]
    for folder, key, size in (("header", "b", 500), ("pixels", "c", -1), ("sound", "a", None)):
        files = write_ct(tmp_path / "s" / folder, image, affine, key=key)
        files[-1].write_bytes(files[-1].read_bytes()[:size])

    ended = import_into_data(capfd, tmp_path / "s")

    lines = ended.err.splitlines()
    assert (ended.code, len(lines)) == (3, 2)
    assert lines[0].startswith("error: header: set aside: series 3: files must be whole, but one in the folder")
    assert "(1 bytes of pixels are missing); copy the folder again" in lines[1]


def compress(header: Dataset, syntax: str) -> None:
    """Compress a slice whose stored numbers have no sign."""
    header.PixelRepresentation = 0
    if syntax != JPEG2000Lossless:
        header.compress(syntax, generate_instance_uid=False)
        return
    content = io.BytesIO()
    Image.fromarray(header.pixel_array.astype(np.uint16)).save(content, "JPEG2000", no_jp2=True, irreversible=False)
    header.PixelData, header["PixelData"].is_undefined_length = encapsulate([content.getvalue()]), True
    header.file_meta.TransferSyntaxUID = JPEG2000Lossless


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_slices_are_converted_without_loss(syntax: str, tmp_path: Path, capfd: Captured):
    affine = place()
    image = draw(1, affine)[0].clip(-1024)  # stored from 0 on
    for file in write_ct(tmp_path / "s" / "p1", image, affine):
        header = dcmread(file)
        compress(header, syntax)
        save(file, header)

    assert import_into_data(capfd, tmp_path / "s").code == 0
    expect_volume(tmp_path / "data" / "s" / "images" / "p1.nii.gz", image, affine)


def test_pixels_that_dcm2niix_does_not_read_are_refused_by_the_name_of_their_kind(tmp_path: Path, capfd: Captured):
    affine = place()
    for file in write_ct(tmp_path / "s" / "p1", draw(1, affine)[0], affine):
        header = dcmread(file)
        header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        save(file, header)

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert "a way that dcm2niix reads, but they are Deflated Explicit VR Little Endian; decompress" in ended.err


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_a_compressed_slice_that_was_cut_short_is_set_aside(syntax: str, tmp_path: Path, capfd: Captured):
    affine = place()
    files = write_ct(tmp_path / "s" / "p1", draw(1, affine)[0], affine)
    for file in files:
        header = dcmread(file)
        header.compress(syntax, generate_instance_uid=False)
        save(file, header)
    files[4].write_bytes(files[4].read_bytes()[:-1200])

    ended = import_into_data(capfd, tmp_path / "s")

    assert ended.code == 3
    assert "  p1: series 3: files must be whole, but one ends within its pixels; copy the folder again" in ended.err
    assert len(ended.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("slope", "kind"),
    [(lambda n: 2.0, np.int16), (lambda n: 1.0 + n % 2, np.int16), (lambda n: 0.5, np.float32), (lambda n: 1 + 0.25 * n, np.float32)],
    ids=["twice", "whole, and another one in each slice", "half", "another one in each slice"],
)  # fmt: skip
def test_the_scale_of_each_slice_is_applied(slope: Callable[[int], float], kind: type, tmp_path: Path, capfd: Captured):
    affine = place()

    def change(header: Dataset, number: int) -> None:
        header.RescaleSlope, header.RescaleIntercept = str(slope(number)), str(-1000 - number % 2)

    files = write_ct(tmp_path / "s" / "p1", draw(1, affine)[0], affine, change=change)
    expected = np.stack([pixels_hu(file) for file in files], axis=2)

    assert import_into_data(capfd, tmp_path / "s").code == 0

    made = read_image(tmp_path / "data" / "s" / "images" / "p1.nii.gz")
    assert made.array.dtype == kind
    assert np.array_equal(made.array, expected[::-1, ::-1])


def pixels_hu(file: Path) -> NDArray[np.float64]:
    """(columns, rows) HU of a slice, as pydicom reads it."""
    header = dcmread(file)
    return header.pixel_array.T * float(header.RescaleSlope) + float(header.RescaleIntercept)


@pytest.mark.parametrize("gap", [None, 6])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # highdicom's on fields that the slices have beside their own
def test_a_series_in_one_object_of_many_frames_is_judged_by_its_frames(
    gap: int | None, tmp_path: Path, capfd: Captured
):
    affine = place(AXES["oblique"])
    image = draw(1, affine)[0]
    slices = [dcmread(file) for file in write_ct(tmp_path / "slices", image, affine)]
    kept = [header for number, header in enumerate(slices) if number != gap]
    (tmp_path / "s" / "p1").mkdir(parents=True)
    LegacyConvertedEnhancedCTImage(kept, UID(), 5, UID(), 1).save_as(tmp_path / "s" / "p1" / "enhanced")

    ended = import_into_data(capfd, tmp_path / "s")

    if gap is None:
        assert (ended.code, ended.err) == (0, "")
        expect_volume(tmp_path / "data" / "s" / "images" / "p1.nii.gz", image, affine)
    else:
        assert ended.code == 3
        assert "p1: series 5: no slice may be missing, but about 1 are: neighbours are 12.50 mm apart" in ended.err


def number_alike(header: Dataset, number: int) -> None:
    header.InstanceNumber = 1


def leave_unnumbered(header: Dataset, number: int) -> None:
    del header.InstanceNumber, header.SeriesNumber, header.Manufacturer, header.PatientPosition, header.SliceThickness


def tell_tilt(header: Dataset, number: int) -> None:
    header.GantryDetectorTilt = "12.5"


def tell_times(header: Dataset, number: int) -> None:
    header.StudyDate, header.AcquisitionTime, header.AcquisitionNumber = (
        f"201908{number + 10}",
        f"1010{number + 10}",
        number,
    )
    header.EchoTime, header.TriggerTime, header.TemporalPositionIdentifier = str(number), str(100 * number), number


@pytest.mark.parametrize("change", [number_alike, leave_unnumbered, tell_tilt, tell_times])
def test_slices_are_ordered_by_their_places_alone(change: Change, tmp_path: Path, capfd: Captured):
    affine = place(AXES["oblique"])
    image = draw(1, affine)[0]
    write_ct(tmp_path / "s" / "p1", image, affine, change=change)

    assert import_into_data(capfd, tmp_path / "s").code == 0
    expect_volume(tmp_path / "data" / "s" / "images" / "p1.nii.gz", image, affine)


@pytest.mark.parametrize("stored", [np.uint16, np.int16])
def test_stored_numbers_with_and_without_sign_are_read(stored: type, tmp_path: Path, capfd: Captured):
    affine = place()
    image = draw(1, affine)[0].clip(-1024)

    def change(header: Dataset, number: int) -> None:
        header.PixelRepresentation = int(stored is np.int16)
        if stored is np.uint16:
            header.BitsStored, header.HighBit = 12, 11

    write_ct(tmp_path / "s" / "p1", image, affine, change=change)

    assert import_into_data(capfd, tmp_path / "s").code == 0
    expect_volume(tmp_path / "data" / "s" / "images" / "p1.nii.gz", image, affine)
