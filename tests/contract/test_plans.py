"""nnU-Net's plans may name layers and networks alone: whatever else they name would be imported and called."""

import json
from pathlib import Path

import pytest
from helpers.standins import STANDINS

from contract.errors import UsageError
from contract.plans import refuse_programs

CONV, UNET = "torch.nn.modules.conv.Conv3d", "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
SYSTEM = "torch.nn.modules.module.torch.os.system"
"""Begins as layers do, and runs commands: the module imports torch, and torch imports os."""


def write_plans(folder: Path, network: object = UNET, layer: object = CONV, configuration: str = "3d_fullres") -> Path:
    architecture = {
        "network_class_name": network,
        "arch_kwargs": {"n_stages": 6, "conv_op": layer, "dropout_op": None, "nonlin_kwargs": {"inplace": True}},
        "_kw_requires_import": ["conv_op", "dropout_op"],
    }
    file = folder / "plans.json"
    file.write_text(json.dumps({"configurations": {configuration: {"architecture": architecture}}}))
    return file


@pytest.mark.parametrize(
    "file", sorted(STANDINS.rglob("plans.json")), ids=lambda file: file.relative_to(STANDINS).parts[0]
)
def test_plans_as_they_are_published_pass(file: Path):
    refuse_programs(file, "fetch it again")


@pytest.mark.parametrize("layer", [CONV, "torch.nn.LeakyReLU", "torch.nn.modules.instancenorm.InstanceNorm3d", None])
def test_layers_pass_by_both_of_their_names(layer: object, tmp_path: Path):
    refuse_programs(write_plans(tmp_path, layer=layer), "fetch it again")


@pytest.mark.parametrize("configuration", ["3d_fullres", "another"])
@pytest.mark.parametrize(
    "names",
    [{"layer": SYSTEM}, {"layer": [SYSTEM]}, {"layer": {"type": SYSTEM}}, {"network": SYSTEM}, {"network": CONV}],
)
def test_other_names_are_refused(names: dict[str, object], configuration: str, tmp_path: Path):
    file = write_plans(tmp_path, **names, configuration=configuration)

    with pytest.raises(UsageError, match="must name layers and networks of nnU-Net alone, but names torch") as caught:
        refuse_programs(file, "fetch it again")

    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value).endswith("; fetch it again")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_json_is_one_message(content: bytes, tmp_path: Path):
    (tmp_path / "plans.json").write_bytes(content)

    with pytest.raises(UsageError, match="must be nnU-Net's plans, but: "):
        refuse_programs(tmp_path / "plans.json", "fetch it again")


@pytest.mark.parametrize(
    "reader",
    [
        "voxtell/voxtell_tool/network.py",
        "cads/cads_tool/networks.py",
        "nninteractive/nninteractive_tool/session.py",
        "totalseg/totalseg_tool/predictor.py",
    ],
)
def test_whoever_reads_plans_of_others_checks_them(reader: str):
    tools = Path(__file__).resolve().parents[2] / "containers"

    assert "refuse_programs(" in (tools / reader).read_text(encoding="utf-8")
