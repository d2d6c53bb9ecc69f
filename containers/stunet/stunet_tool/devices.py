"""How torch gives the same bits twice."""

import os

import torch


def make_deterministic(threads: int) -> None:
    """Make torch give the same bits for the same run on one machine.

    Args:
        threads: CPU threads, exactly.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.backends.cudnn.benchmark = False
    # Nothing here reads memory before writing it, so filling it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
