"""What nnU-Net and torch must be told: before nnU-Net is imported, and before torch computes."""

import hashlib
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from contract import UsageError

SWITCHES = {
    "nnUNet_compile": "f",  # needs a C compiler where it runs
    "nnUNet_def_n_proc": "1",
    "nnUNet_wandb_enabled": "0",
}


@contextmanager
def nnunet_environment(*, augmentation_processes: int, **folders: Path) -> Iterator[None]:
    """Set nnU-Net's variables inside the `with`.

    Args:
        augmentation_processes: 0 for a training (batches.py has processes of its own), 1 for planning, which takes it
            for a number of threads.
        folders: `raw`, `preprocessed`, `results`: what nnU-Net calls by these names.
    """
    wanted = SWITCHES | {"nnUNet_n_proc_DA": str(augmentation_processes)}
    wanted |= {f"nnUNet_{name}": str(folder.resolve()) for name, folder in folders.items()}
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def choose_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda or cuda:I into a device.

    Raises:
        UsageError: there is no such GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        return device
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: must be there, but {torch.cuda.device_count()} GPUs are; use auto or cpu")
    return torch.device("cuda", index)


def make_deterministic(threads: int) -> None:
    """The same bits for the same run on one machine; another GPU model, torch or thread count gives others.

    Args:
        threads: sums are split among threads, so their number is part of a result's identity.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # Only warned of: average pooling in the residual encoders is called non-deterministic on CUDA by torch, although
    # it adds in a random order only where windows overlap, and these don't.
    torch.set_deterministic_debug_mode("warn")  # as use_deterministic_algorithms, which imports a compiler for 5 s
    torch.utils.deterministic.fill_uninitialized_memory = False
    steady_cudnn()


def steady_cudnn() -> None:
    """Let cuDNN take the same algorithms each time; nnU-Net's predictor turns this off when it is made."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def seed_all(*key: object) -> None:
    """Seed every generator that nnU-Net draws from, by a key such as seed, fold, purpose and number."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    random.seed(digest)
    np.random.seed(np.frombuffer(digest[:16], np.uint32))
    torch.manual_seed(int.from_bytes(digest[16:24], "little") >> 1)
