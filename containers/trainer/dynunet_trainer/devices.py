"""How torch computes: the same bits twice on one machine, and in which precision."""

import os

import torch


def make_deterministic(threads: int) -> None:
    """Make torch give the same bits for the same run; another GPU model, torch or thread count gives others.

    Args:
        threads: sums are split among threads, so their number is part of a result's fingerprint.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.backends.cudnn.benchmark = False
    # Nothing here reads memory before writing it, so filling it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def choose_precision(name: str, device: torch.device) -> str:
    """Turn auto into bfloat16 on a GPU, which needs no loss scaling, and into float32 on the CPU."""
    if name != "auto":
        return name
    return "bfloat16" if device.type == "cuda" else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which the network computes."""
    enabled = choose_precision(precision, device) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
