"""Which device is used, and what makes torch give the same bits twice on it."""

import os

import torch

from contract import UsageError


def choose_device(asked: str) -> torch.device:
    """The device that `--device` means; `auto` is the first GPU, else the CPU.

    Raises:
        UsageError: a GPU was asked for that is not there.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device must name a GPU of this machine, but {asked} is not there; use cpu or auto")
    return device


def make_deterministic(threads: int) -> None:
    """The same bits for the same run on one machine.

    Args:
        threads: CPU threads, exactly.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.backends.cudnn.benchmark = False
    # Nothing here reads memory before writing it, so filling it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
