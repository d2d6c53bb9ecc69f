from typing import Any

import numpy as np
import pytest
import torch
from nninteractive_tool.prompts import Prompt
from nninteractive_tool.session import Session

BOX = Prompt((1, 1, 1), (1, 3, 3))
POINT = Prompt((2, 2, 2), (2, 2, 2))


class Drawing:
    """Stands for nnInteractive's session: what it finds is drawn from numpy's global random numbers."""

    def set_image(self, image: np.ndarray) -> None:
        pass

    def set_target_buffer(self, buffer: torch.Tensor) -> None:
        self.buffer = buffer

    def reset_interactions(self) -> None:
        self.buffer.zero_()

    def add_bbox_interaction(self, *_: Any, **__: Any) -> None:
        self.buffer[:] = torch.from_numpy(np.random.randint(0, 2, self.buffer.shape, dtype=np.uint8))

    add_point_interaction = add_bbox_interaction


def session() -> Session:
    made = Session(Drawing())
    made.set_image(np.zeros((4, 5, 6)))
    return made


@pytest.mark.parametrize("prompt", [BOX, POINT])
def test_random_numbers_are_drawn_anew_for_each_prompt(prompt: Prompt):
    one = session()
    first = one.segment_prompt(prompt)
    one.segment_prompt(BOX)
    np.random.random(7)

    assert (one.segment_prompt(prompt) == first).all()
    assert (session().segment_prompt(prompt) == first).all()


def test_random_numbers_of_others_go_on_undisturbed():
    np.random.seed(3)
    undisturbed = np.random.random(4).tolist()
    np.random.seed(3)
    before = np.random.random(2).tolist()

    session().segment_prompt(BOX)

    assert before + np.random.random(2).tolist() == undisturbed
