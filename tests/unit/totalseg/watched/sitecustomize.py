"""Writes down every use of the network and every process that is started, however deep in a library.

Python imports this before anything else where its folder is on PYTHONPATH, in every process that is started from there.
Uses of the network are refused as well.
"""

import os
import sys
from pathlib import Path

CALLS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
TO_ADDRESS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
PROCESSES = {"os.fork", "os.posix_spawn", "subprocess.Popen"}


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Write down, and refuse; libraries may swallow what is raised, but not what is written."""
    # The address of a socket in the file system is a path; processes talk through them.
    is_network = event in CALLS or (event in TO_ADDRESS and isinstance(arguments[1], tuple))
    if is_network or event in PROCESSES:
        with Path(os.environ["ATTEMPTS"]).open("a", encoding="utf-8") as file:
            file.write(f"{event} {arguments}\n")
    if is_network:
        raise ConnectionRefusedError(event)


sys.addaudithook(watch)
