"""Which device is used, and what makes torch give the same bits twice on it."""

import os

import torch

from contract.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda or cuda:I into a device.

    Raises:
        UsageError: there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: must be there, but {torch.cuda.device_count()} GPUs are; use auto or cpu")
    return device


def make_deterministic(threads: int) -> None:
    """The same bits for the same run on one machine; another GPU model, torch or thread count gives others.

    Args:
        threads: sums are split among threads, so their number is part of a result's identity.
    """
    # cuBLAS reads this at its first call; images set it in their environment as well.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.backends.cudnn.benchmark = False
    # Nothing here reads memory before writing it, so filling it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def chosen_precision(name: str, device: torch.device) -> str:
    """What `auto` means on a device: bfloat16 on a GPU, which needs no loss scaling; float32 on the CPU."""
    if name != "auto":
        return name
    return "bfloat16" if device.type == "cuda" else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which the network computes."""
    enabled = chosen_precision(precision, device) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
