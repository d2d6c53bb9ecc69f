"""Which device a tool computes on."""

from typing import Protocol

from contract.errors import UsageError


class Cuda(Protocol):
    """What a tool knows of its GPUs: the module `torch.cuda`, which this library never imports itself."""

    def is_available(self) -> bool:
        """Whether this process can use a GPU."""

    def device_count(self) -> int:
        """How many GPUs there are."""


def choose_device(name: str, cuda: Cuda) -> str:
    """Turn `--device` into a name that torch knows; `auto` is the first GPU, or the CPU where there is none.

    Args:
        name: auto, cpu, cuda or cuda:I.
        cuda: the module `torch.cuda`.

    Returns:
        cpu, cuda or cuda:I.

    Raises:
        UsageError: there is no such GPU.
    """
    if name == "auto":
        return "cuda" if cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= cuda.device_count():
        raise UsageError(f"--device must name a GPU of this machine, but {name} is not there; use cpu or auto")
    return name
