"""A signal that comes where nothing can be raised is not lost."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from contract.errors import Stopped
from contract.interruptions import raise_dropped_again

def stop(signum, frame):
    raise Stopped

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.default_int_handler)
raise_dropped_again()
parent = os.getpid()

class Forgetful:
    def __del__(self):
        os.kill(parent, {signal})

def fork():
    os.register_at_fork(after_in_parent=lambda: os.kill(parent, {signal}))
    if os.fork() == 0:
        os._exit(0)

def finalise():
    Forgetful()

try:
    {place}()
    time.sleep(20)
except (Stopped, KeyboardInterrupt) as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("number", "raised"), [("signal.SIGTERM", "Stopped"), ("signal.SIGINT", "KeyboardInterrupt")])
@pytest.mark.parametrize("place", ["fork", "finalise"])
def test_what_python_drops_is_raised_again(number: str, raised: str, place: str):
    program = PROGRAM.replace("{signal}", number).replace("{place}", place)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == (f"{raised}\n", "", 0)


def test_other_errors_that_python_drops_are_still_printed():
    program = PROGRAM.split("class Forgetful")[0] + "class Broken:\n    def __del__(self):\n        1 / 0\n\nBroken()\n"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert "ZeroDivisionError" in done.stderr
