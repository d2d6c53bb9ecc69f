"""What the audit sees of files, grids, intensities and slices."""
