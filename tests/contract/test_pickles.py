"""Files of weights are read as tensors, numbers and names; whatever else a file holds is said in one sentence."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.pickles import RunsCode

from contract.errors import UsageError
from contract.pickles import FORBIDDEN, FORCED, load_plain_pickle, plain_data_only


def read_as_nnunet_does(file: Path) -> Any:
    """A library reads a checkpoint with a loader that would run what it holds."""
    with plain_data_only(file, torch.serialization.safe_globals, "fetch it again"):
        return torch.load(file, map_location="cpu", weights_only=False)


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "weights.pth")
    return folder / "weights.pth"


def test_tensors_and_the_numbers_of_a_training_are_read(tmp_path: Path):
    content = {
        "network_weights": {"a": torch.arange(3.0)}, "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "logging": {"mean_fg_dice": [np.float32(0.25)], "dice_per_class": [np.array([0.5, 0.75], dtype=np.float16)]},
    }  # fmt: skip

    found = read_as_nnunet_does(saved(tmp_path, content))

    assert found["network_weights"]["a"].tolist() == [0.0, 1.0, 2.0]
    assert found["logging"]["mean_fg_dice"] == [0.25]
    assert found["logging"]["dice_per_class"][0].tolist() == [0.5, 0.75]


def test_numbers_under_the_names_of_numpy_1_are_read(tmp_path: Path):
    file = saved(tmp_path, {"_best_ema": np.float64(0.5)})
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(tmp_path / "numpy1.pth", "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b"numpy._core", b"numpy.core"))

    assert read_as_nnunet_does(tmp_path / "numpy1.pth") == {"_best_ema": 0.5}


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[60:90] = bytes(30)
    file.write_bytes(content)


WRONG: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "page": lambda file: file.write_bytes(b"<!DOCTYPE html><title>Sign in</title>"),
    "pointer": lambda file: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    "truncated": truncated,
    "flipped": flipped,
    "pickle": lambda file: file.write_bytes(pickle.dumps({"a": timedelta(1)})),
    "other zip": lambda file: zipfile.ZipFile(file, "w").close(),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("harm", WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_none_of_weights_is_one_sentence_with_its_path(harm: Callable[[Path], object], tmp_path: Path):
    file = saved(tmp_path, {"a": torch.arange(400.0)})
    harm(file)

    with pytest.raises(UsageError) as caught:
        read_as_nnunet_does(file)

    message = str(caught.value)
    assert message.startswith(f"{file}: must be a whole file of tensors, numbers and names alone, but: ")
    assert message.endswith("; fetch it again") and "\n" not in message
    assert "trust" not in message  # torch's own advice is to run it


def test_a_program_in_a_file_is_named_and_never_run(tmp_path: Path):
    file = saved(tmp_path, {"network_weights": RunsCode(tmp_path / "made")})

    with pytest.raises(UsageError, match=r"but: it holds getattr, which could be a program; fetch it again"):
        read_as_nnunet_does(file)

    assert not (tmp_path / "made").exists()


def test_the_users_variables_cannot_turn_it_off_and_are_left_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(FORBIDDEN, "1")
    monkeypatch.delenv(FORCED, raising=False)
    file = saved(tmp_path, {"logging": timedelta(1)})

    with pytest.raises(UsageError, match=r"it holds datetime\.timedelta"):
        read_as_nnunet_does(file)

    assert (os.environ[FORBIDDEN], os.environ.get(FORCED)) == ("1", None)
    assert torch.load(file, weights_only=False) == {"logging": timedelta(1)}


def test_a_pickle_of_plain_data_is_read_and_nothing_else(tmp_path: Path):
    plain = {"spacing": [1.5, 2.0], "class_locations": {1: np.arange(8).reshape(2, 4)}, "shape": (np.int64(4), 3)}
    (tmp_path / "case.pkl").write_bytes(pickle.dumps(plain, protocol=4))

    found = load_plain_pickle(tmp_path / "case.pkl", "prepare again")

    assert found["class_locations"][1].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (found["spacing"], found["shape"]) == ([1.5, 2.0], (4, 3))


@pytest.mark.parametrize("content", [
    b"", b"hello", pickle.dumps({"a": 1})[:-3], pickle.dumps({"a": timedelta(1)}), pickle.dumps(print),
    pickle.dumps({"f": np.load}), pickle.dumps(io.BytesIO),
])  # fmt: skip
def test_a_damaged_pickle_or_one_of_other_things_is_one_sentence(content: bytes, tmp_path: Path):
    (tmp_path / "case.pkl").write_bytes(content)

    with pytest.raises(UsageError, match=r"case\.pkl: must be a whole pickle of .* alone, but: [^\n]+; prepare again$"):
        load_plain_pickle(tmp_path / "case.pkl", "prepare again")


def test_a_program_in_a_pickle_is_never_run(tmp_path: Path):
    (tmp_path / "case.pkl").write_bytes(pickle.dumps({"spacing": RunsCode(tmp_path / "made")}))

    with pytest.raises(UsageError, match=r"it holds pathlib\.Path\.touch, which could be a program"):
        load_plain_pickle(tmp_path / "case.pkl", "prepare again")

    assert not (tmp_path / "made").exists()
