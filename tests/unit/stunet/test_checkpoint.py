"""Files are read strictly, and never run."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.pickles import RunsCode
from stunet_tool.checkpoint import load_network
from stunet_tool.network import Shape, STUNet

from contract import UsageError


@pytest.fixture(scope="module")
def trained() -> STUNet:
    torch.manual_seed(3)
    return STUNet(Shape(width=2, depth=2, classes=5))


def saved(file: Path, state: object, **more: object) -> Path:
    """A file as nnU-Net 1.7's trainer writes it."""
    history = [np.float64(0.5), np.float32(0.25), np.int64(7)]
    content = {
        "epoch": 4000,
        "state_dict": state,
        "optimizer_state_dict": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
        "lr_scheduler_state_dict": None,
        "plot_stuff": (history, history, [], history),
        "best_stuff": (np.float64(0.5), np.float64(0.25), None),
        "amp_grad_scaler": {"scale": 65536.0, "_growth_tracker": 12},
    }
    torch.save({**content, **more}, file)
    return file


def test_a_file_with_training_history_is_read_with_its_width_and_depth(trained: STUNet, tmp_path: Path):
    file = saved(tmp_path / "small.model", trained.state_dict())

    network = load_network(file, classes=5)

    found = network.state_dict()
    assert not network.training
    assert list(found) == list(trained.state_dict())
    assert all(torch.equal(found[key], value) for key, value in trained.state_dict().items())
    assert torch.equal(network(torch.ones(1, 1, 32, 32, 32)), trained(torch.ones(1, 1, 32, 32, 32)))


def test_names_of_a_training_on_several_gpus_are_shortened(trained: STUNet, tmp_path: Path):
    state = OrderedDict((f"module.{key}", value) for key, value in trained.state_dict().items())

    network = load_network(saved(tmp_path / "small.model", state), classes=5)

    assert torch.equal(network.seg_outputs[4].weight, trained.seg_outputs[4].weight)


def test_numbers_pickled_by_numpy_1_are_read(trained: STUNet, tmp_path: Path):
    new = saved(tmp_path / "new.model", trained.state_dict())

    with zipfile.ZipFile(new) as source, zipfile.ZipFile(tmp_path / "old.model", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                assert b"cnumpy._core.multiarray\nscalar" in content
                content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            target.writestr(name, content)

    assert load_network(tmp_path / "old.model", classes=5).seg_outputs[4].out_channels == 5


def test_a_program_in_a_file_is_refused_and_not_run(trained: STUNet, tmp_path: Path):
    file = saved(tmp_path / "evil.model", trained.state_dict(), best_stuff=RunsCode(tmp_path / "made"))
    torch.load(file, weights_only=False)
    assert (tmp_path / "made").exists()
    (tmp_path / "made").unlink()

    with pytest.raises(UsageError, match=r"evil\.model: must be a whole file of tensors, numbers and names alone"):
        load_network(file, classes=5)

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"no zip", pickle.dumps({"state_dict": {}})], ids=["empty", "text", "pickle"])
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path):
    file = tmp_path / "odd.model"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=r"odd\.model: must be a whole file of tensors, numbers and names alone"):
        load_network(file, classes=5)


def test_a_truncated_file_is_refused(trained: STUNet, tmp_path: Path):
    file = saved(tmp_path / "half.model", trained.state_dict())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(UsageError, match=r"half\.model: must be a whole file of tensors, numbers and names alone"):
        load_network(file, classes=5)


@pytest.mark.parametrize("content", [[1, 2], {"network_weights": {}}, {"state_dict": [1]}, {"state_dict": {"a": 1}}])
def test_a_file_without_parameters_is_refused(content: object, tmp_path: Path):
    torch.save(content, tmp_path / "other.model")

    with pytest.raises(UsageError, match="must be a dictionary with the tensors of `state_dict`, but are not"):
        load_network(tmp_path / "other.model", classes=5)


def test_parameters_of_another_network_are_refused(tmp_path: Path):
    file = saved(tmp_path / "other.model", {"conv.weight": torch.zeros(3)})

    with pytest.raises(UsageError, match="must be of STU-Net, but its first or its last convolution is not among them"):
        load_network(file, classes=5)


def test_missing_extra_and_misshapen_parameters_are_named(trained: STUNet, tmp_path: Path):
    state = dict(trained.state_dict())
    del state["conv_blocks_context.3.0.norm1.bias"], state["seg_outputs.1.bias"]
    state["extra"] = torch.zeros(3)
    state["upsample_layers.2.conv.bias"] = torch.zeros(99)
    state["seg_outputs.0.bias"] = state["seg_outputs.0.bias"].half()

    with pytest.raises(UsageError) as refused:
        load_network(saved(tmp_path / "odd.model", state), classes=5)

    assert str(refused.value) == (
        f"{tmp_path}/odd.model: weights must fit STU-Net exactly, but parameters are wrong: "
        "2 missing (conv_blocks_context.3.0.norm1.bias, …); 1 not of this network (extra); "
        "1 of another shape (upsample_layers.2.conv.bias); 1 not float32 (seg_outputs.0.bias); "
        "remove it and fetch the weights again"
    )


def test_a_network_of_other_classes_is_refused(trained: STUNet, tmp_path: Path):
    file = saved(tmp_path / "small.model", trained.state_dict())

    with pytest.raises(UsageError, match="network must have 105 outputs, as the label table, but has 5"):
        load_network(file, classes=105)
