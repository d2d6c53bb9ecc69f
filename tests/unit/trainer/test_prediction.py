import json

import nibabel as nib
import numpy as np
import pytest
from helpers.surface_oracle import oracle_dice

LONG_ENOUGH = ("--epochs", "10", "--batches-per-epoch", "20", "--learning-rate", "0.01", "--foreground", "0.7",
               "--no-augment")  # fmt: skip


@pytest.fixture(scope="session")
def model(bench):
    bench.run("train", "learned", *LONG_ENOUGH, store=bench.out("store"), labels=bench.out("labels"),
              reference=bench.out("labels"))  # fmt: skip
    return bench.out("learned")


def test_organs_of_an_oblique_lps_image_are_found_where_they_are(bench, model):
    bench.run("predict", "predicted", "--cases", "d", model=model)

    image = nib.load(bench.images / "d.nii.gz")
    found = nib.load(bench.out("predicted") / "d.nii.gz")
    reference = np.asarray(nib.load(bench.labels / "d.nii.gz").dataobj)
    labels = np.asarray(found.dataobj)
    assert found.shape == image.shape
    assert (found.affine == image.affine).all()
    assert nib.aff2axcodes(found.affine) == ("L", "P", "S")
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 3, 7}
    for organ in (3, 7):
        assert oracle_dice(reference == organ, labels == organ) > 0.8
    assert not (bench.out("predicted") / "a.nii.gz").exists()


def test_second_prediction_is_a_no_op_and_the_device_is_recorded(bench, model):
    bench.run("predict", "again", "--cases", "d", model=model)

    log = bench.run("predict", "again", "--cases", "d", model=model)

    assert "already done" in log
    assert json.loads((bench.out("again") / "run.json").read_text())["device"] == "cpu"


def other_images(bench, model, arrays):
    """Predict images that are no part of the dataset's own cases."""
    data = bench.folder / f"more-{'-'.join(arrays)}" / "toy"
    (data / "images").mkdir(parents=True)
    (data / "dataset.yaml").write_text((bench.folder / "data" / "toy" / "dataset.yaml").read_text())
    affine = nib.load(bench.images / "d.nii.gz").affine
    for case, array in arrays.items():
        nib.save(nib.Nifti1Image(array, affine), data / "images" / f"{case}.nii.gz")
    name = f"predicted-{'-'.join(arrays)}"
    bench.run("predict", name, "--data", str(data.parent), model=model)
    return {case: np.asarray(nib.load(bench.out(name) / f"{case}.nii.gz").dataobj) for case in arrays}


def test_single_slices_and_images_smaller_than_the_patch_are_segmented(bench, model):
    hu = np.asarray(nib.load(bench.images / "d.nii.gz").dataobj)
    reference = np.asarray(nib.load(bench.labels / "d.nii.gz").dataobj)

    found = other_images(bench, model, {"slice": hu[:, :, 7:8], "small": hu[3:15, 2:13, 2:9], "voxel": hu[:1, :1, :1]})

    assert found["slice"].shape == (26, 21, 1)
    assert found["voxel"].tolist() == [[[0]]]
    # The crop takes the surroundings away: that the organ is found at all is the question here, not how well.
    assert oracle_dice(reference[3:15, 2:13, 2:9] == 3, found["small"] == 3) > 0.3


def test_model_of_other_labels_is_refused(bench, model):
    data = bench.folder / "renamed" / "toy"
    (data / "images").mkdir(parents=True)
    (data / "images" / "d.nii.gz").symlink_to(bench.images / "d.nii.gz")
    (data / "dataset.yaml").write_text("name: toy\nlabels: {3: spleen, 7: liver}\n")

    log = bench.run("predict", "renamed", "--data", str(data.parent), code=2, model=model)

    assert "must be of a model for the labels of toy, but is of one for {3: 'liver', 7: 'spleen'}" in log


def test_gpu_that_is_not_there_is_refused(bench, model):
    log = bench.run("predict", "no-gpu", "--device", "cuda:63", "--cases", "d", code=2, model=model)

    assert "--device must name a GPU of this machine, but cuda:63 is not there" in log


def test_prediction_without_a_model_is_refused(bench):
    (bench.folder / "nothing-here").mkdir()

    log = bench.run("predict", "no-model", "--cases", "d", code=2, model=bench.folder / "nothing-here")

    assert "model.pt: must be the model that step train wrote" in log
