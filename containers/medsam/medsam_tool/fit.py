"""How a picture lies in the network's square input: its longer side is scaled to 256 pixels, the rest is padding."""

from dataclasses import dataclass

SIDE = 256
"""Rows and columns of the network's input."""

Box = tuple[float, float, float, float]
"""(column min, row min, column max, row max) in pixels; the last two are the last pixel inside, not one beyond."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Sizes of a picture and of its copy in the upper left of the network's input.

    Attributes:
        rows: of the picture.
        columns: of the picture.
    """

    rows: int
    columns: int

    @property
    def scale(self) -> float:
        """Pixels of the network for each pixel of the picture."""
        return SIDE / max(self.rows, self.columns)

    @property
    def resized(self) -> tuple[int, int]:
        """Rows and columns that the picture takes in the network's input."""
        return max(1, int(self.rows * self.scale + 0.5)), max(1, int(self.columns * self.scale + 0.5))

    def to_network(self, box: Box) -> Box:
        """Scale a box of the picture: its outer edges are scaled, so that it stays around the same pixels.

        Box indices are inclusive: a picture's last pixel 3 at scale 2 becomes the network's pixels 6 and 7, hence 7.
        """
        column_min, row_min, column_max, row_max = box
        s = self.scale
        return column_min * s, row_min * s, (column_max + 1) * s - 1, (row_max + 1) * s - 1

    def clipped(self, box: Box) -> Box:
        """Cut a box of the network's input at the picture's edges."""
        rows, columns = self.resized
        column_min, row_min, column_max, row_max = box
        return max(0.0, column_min), max(0.0, row_min), min(columns - 1.0, column_max), min(rows - 1.0, row_max)
