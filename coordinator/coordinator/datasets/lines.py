"""Files of lines that grow while work goes on, so that work that was broken off goes on."""

import json
import os
from pathlib import Path

from contract import atomic


def append_line(file: Path, content: object) -> None:
    """Add a line of JSON; where a crash has cut the last one short, it stays a line of its own."""
    line = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    with atomic.naming(file), file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            line = line if stream.read(1) == b"\n" else b"\n" + line
        stream.write(line)
