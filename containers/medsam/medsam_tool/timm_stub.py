"""The four names of timm that LiteMedSAM's image encoder imports.

timm itself needs torchvision, whose build must match torch's exactly; none of it is used when predicting.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch


class DropPath(torch.nn.Module):
    """Stochastic depth, which does nothing when predicting."""

    def __init__(self, drop_prob: float | None = None) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input.

        Raises:
            RuntimeError: in training mode, where timm's would drop paths.
        """
        if self.training and self.drop_prob:
            raise RuntimeError("DropPath must be in evaluation mode, but it is in training mode; use timm to train")
        return x


def to_2tuple(size: int | tuple[int, int]) -> tuple[int, int]:
    """Turn a side length into (height, width)."""
    return (size, size) if isinstance(size, int) else size


def register_model(function: object) -> object:
    """Leave a model's function as it is; there is no registry."""
    return function


@contextmanager
def install() -> Iterator[None]:
    """Let `import timm` find these names inside the `with` only."""
    layers, registry = ModuleType("timm.models.layers"), ModuleType("timm.models.registry")
    layers.__dict__.update(DropPath=DropPath, to_2tuple=to_2tuple, trunc_normal_=torch.nn.init.trunc_normal_)
    registry.__dict__.update(register_model=register_model)
    stubs = {
        "timm": ModuleType("timm"),
        "timm.models": ModuleType("timm.models"),
        "timm.models.layers": layers,
        "timm.models.registry": registry,
    }
    before = {name: sys.modules.get(name) for name in stubs}
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
