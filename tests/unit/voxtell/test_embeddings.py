from pathlib import Path

import numpy as np
import pytest
from voxtell_tool.embeddings import read_bank

from contract import UsageError

EMBEDDINGS = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float16)


def write_bank(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "bank.npz", **arrays)  # type: ignore[arg-type]
    return folder / "bank.npz"


def test_a_bank_maps_prompts_in_lower_case_to_embeddings(tmp_path: Path):
    bank = read_bank(write_bank(tmp_path, labels=np.array(["Liver", "left kidney"]), embeddings=EMBEDDINGS))

    assert {prompt: embedding.tolist() for prompt, embedding in bank.items()} == {
        "liver": [1, 2, 3], "left kidney": [4, 5, 6],
    }  # fmt: skip


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.array(["liver"])},
        {"labels": np.array(["liver"]), "embeddings": EMBEDDINGS},
        {"labels": np.array([1, 2]), "embeddings": EMBEDDINGS},
        {"labels": np.array(["liver", "aorta"], dtype=object), "embeddings": EMBEDDINGS},
    ],
    ids=["no embeddings", "a row too many", "numbers for prompts", "pickled objects"],
)
def test_another_archive_is_refused(tmp_path: Path, arrays: dict[str, object]):
    with pytest.raises(UsageError, match=r"bank\.npz: must hold"):
        read_bank(write_bank(tmp_path, **arrays))


def test_a_damaged_file_is_refused(tmp_path: Path):
    file = write_bank(tmp_path, labels=np.array(["liver", "aorta"]), embeddings=EMBEDDINGS)
    file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(UsageError, match="fetch the weights again"):
        read_bank(file)
