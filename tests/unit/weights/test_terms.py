"""Weights with terms are fetched only after somebody agreed."""

import os
import pty
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Files
from helpers.weights import fetch, start_fetch


def test_terms_must_be_accepted(tool: Callable[..., None], tmp_path: Path, server: Files) -> None:
    tool(terms="non-commercial use only")

    code, output = fetch("net")
    assert code == 3
    assert "its terms must be agreed to (non-commercial use only); then add --accept-terms" in output
    assert server.asked == []

    assert fetch("net", "--accept-terms")[0] == 0


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 3)])
def test_a_person_at_a_terminal_is_asked(tool: Callable[..., None], answer: bytes, code: int) -> None:
    tool(terms="non-commercial use only")
    terminal, side_of_process = pty.openpty()

    process = start_fetch("net", stdin=side_of_process, stdout=side_of_process, stderr=side_of_process)
    os.close(side_of_process)
    output = b""
    while b"[y/N]" not in output:
        output += os.read(terminal, 4096)
    os.write(terminal, answer)
    threading.Thread(target=drain, args=(terminal,), daemon=True).start()

    assert process.wait(30) == code
    assert b"net/one.pt (MIT): non-commercial use only" in output


def drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass  # the other side has closed
