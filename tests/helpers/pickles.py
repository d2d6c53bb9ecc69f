"""A pickle that is a program, for tests that none is ever run."""

from pathlib import Path


class RunsCode:
    """Unpickled without care, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)
