"""Tool options on a command line."""

from coordinator.tools.options import option_arguments


def test_options_become_arguments_and_booleans_flags():
    options = {"threshold": 0.5, "bone": True, "fat": False, "organ": "liver"}

    assert option_arguments(options) == ("--threshold=0.5", "--bone", "--no-fat", "--organ=liver")
