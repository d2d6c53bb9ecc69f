from pathlib import Path

import pytest
import torch
from dynunet_trainer.settings import learning_rate_at, read_settings

from contract.manifest import load_manifest

OPTIONS = load_manifest(Path(__file__).parents[3] / "containers" / "trainer").complete_options({})


def test_learning_rate_is_a_cosine_from_the_base_rate_to_zero():
    settings = read_settings(OPTIONS | {"epochs": 10, "batches-per-epoch": 25})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=250)

    for step in range(250):
        assert learning_rate_at(step, settings) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        scheduler.step()
    assert learning_rate_at(0, settings) == 1e-3
    assert learning_rate_at(125, settings) == pytest.approx(5e-4)
    assert learning_rate_at(250, settings) == 0
