import numpy as np
from dynunet_trainer.prepare_labels import foreground_locations, to_channels


def test_ids_become_channels_in_ascending_order():
    labels = np.array([[[0, 3, 300, 7]]], np.uint16)

    assert to_channels(labels, [3, 7, 300]).tolist() == [[[0, 1, 3, 2]]]


def test_foreground_locations_are_of_their_channel_and_limited():
    channels = np.zeros((40, 40, 20), np.uint8)
    channels[:30] = 2
    channels[35, 3, 4] = 5

    found = foreground_locations(channels)

    assert np.unique(found[:, 0], return_counts=True)[1].tolist() == [10_000, 1]
    assert (channels.ravel()[found[:, 1]] == found[:, 0]).all()
    assert (np.diff(found[:10_000, 1]) > 0).all()
    assert foreground_locations(np.zeros((4, 4, 4), np.uint8)).shape == (0, 2)
