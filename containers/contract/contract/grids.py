"""Voxel grids: where a volume lies in the world, and whether two volumes lie in the same place.

World coordinates are RAS+ millimetres, as nibabel gives them. Tools see volumes turned to the axis order and direction
closest to RAS+ (no interpolation, only transposes and flips); files keep the orientation in which they were stored.

    stored array  --orientation-->  RAS+ array  --tool-->  RAS+ labels  --inverse-->  stored labels
"""

from dataclasses import dataclass
from typing import TypeVar

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from contract.errors import CaseError

Voxel = TypeVar("Voxel", bound=np.generic)

TOLERANCE_MM = 1e-3
"""Two grids are the same when no corner voxel lies further apart than this; float noise in headers is below it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A voxel grid: shape and affine.

    Attributes:
        shape: (X, Y, Z) voxels.
        affine: (4, 4) voxel index -> RAS mm; rows end in the translation.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis, in mm, rounded to 1e-6 mm.

        NIfTI stores float32 (0.8 comes back as 0.800000012); rounding makes comparisons at a tolerance exact.
        """
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).round(6).tolist()
        return (x, y, z)

    @property
    def orientation(self) -> str:
        """Directions in which the voxel axes grow, such as "RAS" or "LPS"."""
        return "".join(nib.aff2axcodes(self.affine))

    def corners_mm(self) -> NDArray[np.float64]:
        """World positions of the eight corner voxels, (8, 3) mm."""
        ends = [(0, n - 1) for n in self.shape]
        voxels = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
        return np.asarray((self.affine[:3, :3] @ voxels + self.affine[:3, 3:]).T)

    def distance_mm(self, other: "Grid") -> float:
        """Largest distance in mm between the same corner of two grids of one shape."""
        return float(np.linalg.norm(self.corners_mm() - other.corners_mm(), axis=1).max())


def canonical_orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orientation (nibabel's (3, 2) axis and flip table) that takes a stored array to RAS+."""
    return np.asarray(io_orientation(affine))


def orient(array: NDArray[Voxel], grid: Grid, orientation: NDArray[np.float64]) -> NDArray[Voxel]:
    """Transpose and flip an array that lies on `grid`; the caller turns the grid with `orient_grid`.

    Raises:
        ValueError: the array has another shape than the grid.
    """
    if array.shape != grid.shape:
        raise ValueError(f"array must have the grid's shape {grid.shape}, but it is {array.shape}")
    return np.asarray(apply_orientation(array, orientation))


def orient_grid(grid: Grid, orientation: NDArray[np.float64]) -> Grid:
    """The grid on which an array lies after `orient`."""
    shape = [0, 0, 0]
    for source, (target, _) in enumerate(orientation):
        shape[int(target)] = grid.shape[source]
    return Grid((shape[0], shape[1], shape[2]), np.asarray(grid.affine @ inv_ornt_aff(orientation, grid.shape)))


def inverse_orientation(orientation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orientation that undoes another."""
    identity = np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
    return np.asarray(ornt_transform(identity, orientation))


def orientation_onto(source: Grid, target: Grid) -> NDArray[np.float64]:
    """Orientation that turns `source` onto `target` when both cover the same voxels of the world.

    Raises:
        CaseError: the two are different grids; the message gives both shapes, or the distance in mm.
    """
    orientation = np.asarray(io_orientation(np.linalg.inv(target.affine) @ source.affine))
    turned = orient_grid(source, orientation)
    if turned.shape != target.shape:
        raise CaseError(f"grids must agree, but the shape is {turned.shape} and should be {target.shape}")
    distance_mm = turned.distance_mm(target)
    if distance_mm > TOLERANCE_MM:
        raise CaseError(
            f"grids must agree within {TOLERANCE_MM:g} mm, but they are {distance_mm:.4g} mm apart at the far corner"
        )
    return orientation
