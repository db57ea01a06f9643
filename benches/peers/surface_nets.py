"""VTK's surface nets over all labels of a map in one extraction.

usage: surface_nets.py LABELS.nii
needs: vtk, numpy, nibabel
prints: {"plain_s", "first_s", "warm_s", "plain_triangles", "triangles", "threads", "version"}

On all cores (backend STDThread; VTK's default is sequential). `first_s` is the first call in the process, smoothed with VTK's
defaults; `warm_s` and `plain_s` (unsmoothed) are the best of the following. VTK leaves surfaces open where the grid ends.
"""
import json
import os
import sys
import time

import nibabel
import numpy
import vtk
from vtk.util import numpy_support

REPEATS = 7


def grid(path):
    image = nibabel.load(path)
    labels = numpy.asarray(image.dataobj).astype(numpy.uint8)
    data = vtk.vtkImageData()
    data.SetDimensions(*labels.shape)
    data.SetSpacing(*map(float, image.header.get_zooms()[:3]))
    # Column fastest, as in the file.
    flat = numpy.ascontiguousarray(labels.T).ravel()
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=1, array_type=vtk.VTK_UNSIGNED_CHAR))
    return data, [int(label) for label in numpy.unique(flat) if label]


def extract(data, labels, smooth):
    nets = vtk.vtkSurfaceNets3D()
    nets.SetInputData(data)
    for number, label in enumerate(labels):
        nets.SetValue(number, label)
    nets.SetSmoothing(smooth)
    nets.SetOutputMeshTypeToTriangles()
    start = time.perf_counter()
    nets.Update()
    return time.perf_counter() - start, nets.GetOutput().GetNumberOfCells()


def main(path):
    vtk.vtkSMPTools.SetBackend("STDThread")
    vtk.vtkSMPTools.Initialize(os.cpu_count() or 1)
    data, labels = grid(path)
    first, triangles = extract(data, labels, True)
    warm = min(extract(data, labels, True)[0] for _ in range(REPEATS))
    plain = [extract(data, labels, False) for _ in range(REPEATS)]
    print(json.dumps({
        "plain_s": min(seconds for seconds, _ in plain),
        "first_s": first,
        "warm_s": warm,
        "plain_triangles": plain[0][1],
        "triangles": triangles,
        "threads": vtk.vtkSMPTools.GetEstimatedNumberOfThreads(),
        "version": vtk.vtkVersion.GetVTKVersion(),
    }))


if __name__ == "__main__":
    main(sys.argv[1])
