"""The published bank of embeddings: what the text encoder, Qwen3-Embedding-4B, makes of 14,194 prompts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import UsageError

ADVICE = "remove it and fetch the weights again"
Bank = dict[str, NDArray[np.generic]]
"""Prompt in lower case -> (D,) embedding."""


def read_bank(file: Path) -> Bank:
    """Read `labels`, the prompts, and `embeddings`, one row for each.

    Raises:
        UsageError: the file is damaged, or holds something else.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            prompts, embeddings = content["labels"], content["embeddings"]
    except Exception as error:  # a damaged archive raises all kinds of them
        raise UsageError(f"{file}: must hold the arrays labels and embeddings, but: {error}; {ADVICE}") from error
    if prompts.dtype.kind != "U" or embeddings.dtype.kind != "f" or embeddings.shape[:1] != prompts.shape:
        raise UsageError(
            f"{file}: must hold a text and a row of numbers for each prompt, but has {prompts.dtype} {prompts.shape} "
            f"and {embeddings.dtype} {embeddings.shape}; {ADVICE}"
        )
    return {str(prompt).lower(): embedding for prompt, embedding in zip(prompts, embeddings, strict=True)}
