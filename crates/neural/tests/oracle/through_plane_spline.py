"""Cubic B-spline along slices by SciPy 1.17.1; prints the numbers in src/super_resolution/slices/tests.rs."""
import numpy as np
from scipy.ndimage import map_coordinates

slices = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
for voxels in (15, 40):
    position = (np.arange(voxels) + 0.5) * 6 / voxels - 0.5
    print(voxels, np.round(map_coordinates(slices, [position], order=3, mode="mirror"), 6).tolist())
