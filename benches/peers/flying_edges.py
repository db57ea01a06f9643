"""VTK's flying edges: one isosurface of a scan, with normals.

usage: flying_edges.py SCAN.nii ISO_VALUE THREADS
needs: vtk, numpy, nibabel
prints: {"first_s", "warm_s", "triangles", "threads", "version"}

Normals are on, gradients and scalars off: what our own isosurface yields. The surface is open where the scan ends.
"""
import json
import sys
import time

import nibabel
import numpy
import vtk
from vtk.util import numpy_support

REPEATS = 7


def grid(path):
    image = nibabel.load(path)
    values = numpy.asarray(image.dataobj)
    data = vtk.vtkImageData()
    data.SetDimensions(*values.shape)
    data.SetSpacing(*map(float, image.header.get_zooms()[:3]))
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(numpy.ascontiguousarray(values.T).ravel(), deep=1))
    return data


def extract(data, iso_value):
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(data)
    edges.SetValue(0, iso_value)
    edges.ComputeNormalsOn()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    start = time.perf_counter()
    edges.Update()
    return time.perf_counter() - start, edges.GetOutput().GetNumberOfCells()


def main(path, iso_value, threads):
    vtk.vtkSMPTools.SetBackend("STDThread" if threads > 1 else "Sequential")
    vtk.vtkSMPTools.Initialize(threads)
    data = grid(path)
    first, triangles = extract(data, iso_value)
    print(json.dumps({
        "first_s": first,
        "warm_s": min(extract(data, iso_value)[0] for _ in range(REPEATS)),
        "triangles": triangles,
        "threads": vtk.vtkSMPTools.GetEstimatedNumberOfThreads(),
        "version": vtk.vtkVersion.GetVTKVersion(),
    }))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
