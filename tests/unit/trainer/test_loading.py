import numpy as np
import pytest
from dynunet_trainer.loading import batches

from contract.errors import UsageError


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_whatever_the_number_of_threads(workers):
    class Numbers:
        def patch(self, k):
            return np.full((2, 2, 2), k, np.float32), np.full((2, 2, 2), k % 250, np.uint8)

    found = [batch.images[:, 0, 0, 0].tolist() for batch in batches(Numbers(), range(5, 17), 2, workers)]

    assert found == [[2.0 * s, 2.0 * s + 1] for s in range(5, 17)]


def test_a_patch_that_cannot_be_made_ends_the_loading_with_its_reason():
    class Broken:
        def patch(self, k):
            raise UsageError("store: must be whole")

    with pytest.raises(UsageError, match="must be whole"):
        list(batches(Broken(), range(4), 2, 2))
