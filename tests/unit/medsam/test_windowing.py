import numpy as np
import pytest
from medsam_tool.windowing import apply_window


@pytest.mark.parametrize(
    ("hu", "grey"), [(-1000, 0), (-160, 0), (-60, 63), (40, 127), (239, 254), (240, 255), (3071, 255)]
)
def test_the_abdominal_window_is_the_one_of_medsam(hu: int, grey: int):
    # 63 = floor(100 / 400 * 255), 127 = floor(200 / 400 * 255)
    assert apply_window(np.array([hu], dtype=np.int16), 40, 400) == grey


def test_another_window_follows_level_and_width():
    lung = apply_window(np.array([-1350.0, -600.0, 150.0]), level_hu=-600, width_hu=1500)

    assert lung.tolist() == [0, 127, 255]
    assert lung.dtype == np.uint8
