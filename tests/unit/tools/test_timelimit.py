"""Work that never ends is killed; what ends in time is as if it had been done here."""

import json
import os
import re
import time

import pytest
from helpers.added import STRANGER

from contract.manifest import Manifest
from coordinator.runners import images
from coordinator.runners.images import parse_described
from coordinator.tools.timelimit import within_seconds

ENDLESS = {"type": "str", "default": "a" * 40 + "!", "pattern": "(a+)+", "help": "doubles its time with each letter"}


def test_work_that_ends_in_time_gives_its_result():
    assert within_seconds(10, int, "7") == 7


def test_what_is_wrong_comes_back_word_for_word():
    with pytest.raises(ValueError, match="^invalid literal for int"):
        within_seconds(10, int, "seven")


def test_work_without_end_is_killed():
    begin = time.monotonic()

    with pytest.raises(ValueError, match=r"it takes longer than 0.5 s to check"):
        within_seconds(0.5, re.fullmatch, "(a+)+", "a" * 40 + "!")

    assert time.monotonic() - begin < 5


def test_work_whose_process_dies_is_one_message():
    with pytest.raises(ValueError, match="it can't be checked"):
        within_seconds(10, os._exit, 9)


def test_a_manifest_whose_pattern_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "PARSE_S", 0.5)
    content = json.loads(STRANGER.read_text())

    with pytest.raises(ValueError, match=r"longer than 0.5 s"):
        parse_described(json.dumps(content | {"options": {"name": ENDLESS}}))


def test_a_sound_manifest_is_parsed_as_it_is():
    assert parse_described(STRANGER.read_text()) == Manifest.model_validate_json(STRANGER.read_text())
