"""Checkpoints are read as tensors and plain data; run in the development environment, which has PyTorch."""

import os
import pickle
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from totalseg_tool.checkpoints import FORCED, plain_data_only


def test_what_nnunet_saves_is_read(tmp_path: Path):
    saved = {
        "network_weights": {"weight": torch.arange(3.0)},
        "_best_ema": np.float64(0.75),
        "logging": {
            "mean_fg_dice": [np.float64(0.5)],
            "train_losses": [np.float32(-0.25)],
            "dice": np.array([0.5, 1.0]),
        },
        "init_args": {"device": torch.device("cpu"), "fold": 0},
    }
    torch.save(saved, tmp_path / "checkpoint.pth")

    with plain_data_only():
        found = torch.load(tmp_path / "checkpoint.pth", weights_only=False)

    assert found["network_weights"]["weight"].tolist() == [0, 1, 2]
    assert (found["_best_ema"], found["logging"]["train_losses"]) == (0.75, [-0.25])
    assert found["logging"]["dice"].tolist() == [0.5, 1.0]


def test_what_numpy_1_wrote_is_read(tmp_path: Path):
    torch.save({"_best_ema": np.float64(0.5)}, tmp_path / "numpy2.pth")
    with zipfile.ZipFile(tmp_path / "numpy2.pth") as new, zipfile.ZipFile(tmp_path / "numpy1.pth", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            assert (b"numpy._core.multiarray" in content) == name.endswith("data.pkl")
            old.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))

    with plain_data_only():
        assert torch.load(tmp_path / "numpy1.pth", weights_only=False) == {"_best_ema": 0.5}


def test_anything_else_is_refused_and_named(tmp_path: Path):
    torch.save({"logging": timedelta(1)}, tmp_path / "checkpoint.pth")

    with plain_data_only(), pytest.raises(pickle.UnpicklingError, match="datetime.timedelta"):
        torch.load(tmp_path / "checkpoint.pth", weights_only=False)


def test_afterwards_torch_loads_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(FORCED, "0")
    torch.save({"logging": timedelta(1)}, tmp_path / "checkpoint.pth")

    with plain_data_only():
        pass

    assert os.environ[FORCED] == "0"
    assert torch.load(tmp_path / "checkpoint.pth", weights_only=False) == {"logging": timedelta(1)}
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "checkpoint.pth", weights_only=True)
