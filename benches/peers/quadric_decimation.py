"""VTK's quadric decimation of one mesh to a share of its triangles.

usage: quadric_decimation.py MESH SHARE RESULT
needs: vtk, numpy
prints: {"seconds", "triangles", "decimated", "version"}

Mesh files are little-endian: the numbers of vertices and triangles (two u64), positions (f32), triangles (u32). The result is
written for the bench to measure with the same samples as our own. The filter has one thread.
"""
import json
import sys
import time

import numpy
import vtk
from vtk.util import numpy_support


def read(path):
    with open(path, "rb") as file:
        vertices, triangles = numpy.fromfile(file, "<u8", 2)
        positions = numpy.fromfile(file, "<f4", 3 * int(vertices)).reshape(-1, 3)
        corners = numpy.fromfile(file, "<u4", 3 * int(triangles)).reshape(-1, 3)
    points = vtk.vtkPoints()
    points.SetData(numpy_support.numpy_to_vtk(positions, deep=1))
    cells = vtk.vtkCellArray()
    offsets = numpy.arange(0, corners.size + 1, 3, dtype=numpy.int64)
    connectivity = corners.astype(numpy.int64).ravel()
    cells.SetData(numpy_support.numpy_to_vtkIdTypeArray(offsets, deep=1),
                  numpy_support.numpy_to_vtkIdTypeArray(connectivity, deep=1))
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    return mesh


def write(mesh, path):
    positions = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData()).astype("<f4")
    corners = numpy_support.vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).astype("<u4")
    with open(path, "wb") as file:
        numpy.array([len(positions), corners.size // 3], "<u8").tofile(file)
        positions.tofile(file)
        corners.tofile(file)


def main(path, share, result):
    mesh = read(path)
    decimation = vtk.vtkQuadricDecimation()
    decimation.SetInputData(mesh)
    decimation.SetTargetReduction(1 - share)
    start = time.perf_counter()
    decimation.Update()
    seconds = time.perf_counter() - start
    write(decimation.GetOutput(), result)
    print(json.dumps({
        "seconds": seconds,
        "triangles": mesh.GetNumberOfCells(),
        "decimated": decimation.GetOutput().GetNumberOfCells(),
        "version": vtk.vtkVersion.GetVTKVersion(),
    }))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
