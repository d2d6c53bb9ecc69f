"""The device that `--device` means, on machines with and without GPUs."""

from dataclasses import dataclass

import pytest

from contract.devices import choose_device
from contract.errors import UsageError


@dataclass(frozen=True)
class Machine:
    """A machine with so many GPUs, as `torch.cuda` shows it."""

    gpus: int

    def is_available(self) -> bool:
        return self.gpus > 0

    def device_count(self) -> int:
        return self.gpus


@pytest.mark.parametrize(
    ("name", "gpus", "device"),
    [
        ("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:1", 2, "cuda:1"),
    ],
)  # fmt: skip
def test_auto_is_the_first_gpu_where_there_is_one_and_any_other_name_stays(name: str, gpus: int, device: str) -> None:
    assert choose_device(name, Machine(gpus)) == device


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:2", 2), ("cuda:99", 1)])
def test_a_gpu_that_is_not_there_is_refused(name: str, gpus: int) -> None:
    with pytest.raises(UsageError, match=f"--device must name a GPU of this machine, but {name} is not there"):
        choose_device(name, Machine(gpus))
