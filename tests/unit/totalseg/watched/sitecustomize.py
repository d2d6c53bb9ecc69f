"""Writes down and refuses every use of the network, however deep in a library.

Python imports this before anything else where its folder is on PYTHONPATH, in every process that is started from there.
"""

import os
import sys
from pathlib import Path

NETWORK = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.sendto",
    "socket.sendmsg",
}


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Write down and refuse; libraries may swallow what is raised, but not what is written."""
    if event in NETWORK:
        with Path(os.environ["ATTEMPTS"]).open("a", encoding="utf-8") as file:
            file.write(f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\n")
        raise ConnectionRefusedError(event)


sys.addaudithook(refuse)
