"""Settings of nnU-Net and torch: variables, device, determinism, seeds."""

import hashlib
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from contract.devices import choose_device

SWITCHES = {
    "nnUNet_compile": "f",  # needs a C compiler where it runs
    "nnUNet_def_n_proc": "1",
    "nnUNet_wandb_enabled": "0",
}


@contextmanager
def nnunet_environment(*, augmentation_processes: int, **folders: Path) -> Iterator[None]:
    """Set nnU-Net's variables inside the `with`.

    Args:
        augmentation_processes: 0 for a training (batches.py has processes of its own), 1 for planning, which uses it as
            a number of threads.
        folders: `raw`, `preprocessed`, `results`, as nnU-Net calls them.
    """
    variables = SWITCHES | {"nnUNet_n_proc_DA": str(augmentation_processes)}
    variables |= {f"nnUNet_{name}": str(folder.resolve()) for name, folder in folders.items()}
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def open_device(name: str) -> torch.device:
    """The device of `--device`; a GPU with its index, which nnU-Net needs.

    Raises:
        UsageError: there is no such GPU.
    """
    device = torch.device(choose_device(name, torch.cuda))
    return device if device.type == "cpu" else torch.device("cuda", device.index or 0)


def make_deterministic(threads: int) -> None:
    """Make torch give the same bits for the same run; another GPU model, torch or thread count gives others.

    Args:
        threads: sums are split among threads, so their number is part of a result's fingerprint.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it alone
    torch.set_num_threads(threads)
    # Only a warning: torch calls average pooling, in the residual encoders, non-deterministic on CUDA, although it adds
    # in a random order only where windows overlap, and these don't.
    torch.set_deterministic_debug_mode("warn")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.utils.deterministic.fill_uninitialized_memory = False
    make_cudnn_deterministic()


def make_cudnn_deterministic() -> None:
    """Let cuDNN use the same algorithms each time; nnU-Net's predictor turns this off when it is made."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def seed_all(*key: object) -> None:
    """Seed every generator that nnU-Net draws from, by a key such as seed, fold, purpose and number."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    random.seed(digest)
    np.random.seed(np.frombuffer(digest[:16], np.uint32))
    torch.manual_seed(int.from_bytes(digest[16:24], "little") >> 1)
