"""Where a picture lies in a network's square input: in its upper left, each axis scaled; the rest is padding."""

from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""(column min, row min, column max, row max) in pixels; the last two are the last pixel inside, not one beyond."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Sizes of a picture and of its copy in the network's input.

    Attributes:
        rows: of the picture.
        columns: of the picture.
        side: rows and columns of the network's input.
        row_scale: rows of the network for each row of the picture.
        column_scale: columns of the network for each column of the picture.
    """

    rows: int
    columns: int
    side: int
    row_scale: float
    column_scale: float

    @property
    def resized_shape(self) -> tuple[int, int]:
        """Rows and columns that the picture takes in the network's input."""
        return max(1, int(self.rows * self.row_scale + 0.5)), max(1, int(self.columns * self.column_scale + 0.5))

    def scale_box(self, box: Box) -> Box:
        """Scale a box of the picture by its outer edges, so that it stays around the same pixels.

        Box indices are inclusive: a picture's last pixel 3 at scale 2 becomes the network's pixels 6 and 7, hence 7.
        """
        column_min, row_min, column_max, row_max = box
        x, y = self.column_scale, self.row_scale
        return column_min * x, row_min * y, (column_max + 1) * x - 1, (row_max + 1) * y - 1

    def scale_corners(self, box: Box) -> Box:
        """Scale a box of the picture by its pixels' indices, as MedSAM_Inference.py does.

        A picture's last pixel 3 at scale 2 becomes 6: the box ends where the copy of that pixel begins.
        """
        column_min, row_min, column_max, row_max = box
        x, y = self.column_scale, self.row_scale
        return column_min * x, row_min * y, column_max * x, row_max * y

    def clip_box(self, box: Box) -> Box:
        """Cut a box of the network's input at the picture's edges."""
        rows, columns = self.resized_shape
        column_min, row_min, column_max, row_max = box
        return max(0.0, column_min), max(0.0, row_min), min(columns - 1.0, column_max), min(rows - 1.0, row_max)


def fit_keeping_aspect(rows: int, columns: int, side: int) -> Fit:
    """Keep the aspect: the longer side of the picture fills the network's input."""
    scale = side / max(rows, columns)
    return Fit(rows, columns, side, scale, scale)


def fit_stretching(rows: int, columns: int, side: int) -> Fit:
    """Stretch the picture: it fills the network's input, whatever its aspect."""
    return Fit(rows, columns, side, side / rows, side / columns)
