"""The libraries inside 3D Slicer on the same work: a CT series to three decimated surfaces on disk.

usage: pipeline.py DICOM_FOLDER
needs: SimpleITK, vtk, numpy
prints: {"seconds", "stages", "peak_mib", "triangles", "decimated", "versions"}

Body, bone and lungs by threshold and largest component (SimpleITK), surface nets with smoothing and quadric decimation to a
tenth (VTK, all cores), normals, OBJ. No levels of detail, no error measurement, no report: less than `build` does.
"""
import json
import os
import resource
import sys
import tempfile
import time

import SimpleITK as sitk
import vtk
from vtk.util import numpy_support

BODY, LUNG, BONE = 1, 2, 3


def largest(mask):
    return sitk.RelabelComponent(sitk.ConnectedComponent(mask), True) == 1


def read(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    return reader.Execute()


def segment(image):
    body = sitk.BinaryFillhole(largest(sitk.BinaryThreshold(image, -300, 4000)))
    lung = largest(sitk.And(sitk.BinaryThreshold(image, -1024, -400), body))
    bone = largest(sitk.BinaryThreshold(image, 200, 4000))
    labels = sitk.GetArrayFromImage(sitk.Cast(body, sitk.sitkUInt8))
    labels[sitk.GetArrayViewFromImage(lung) > 0] = LUNG
    labels[sitk.GetArrayViewFromImage(bone) > 0] = BONE
    return labels


def grid(image, labels):
    data = vtk.vtkImageData()
    data.SetDimensions(*image.GetSize())
    data.SetSpacing(*image.GetSpacing())
    data.SetOrigin(*image.GetOrigin())
    scalars = numpy_support.numpy_to_vtk(labels.ravel(), deep=1, array_type=vtk.VTK_UNSIGNED_CHAR)
    data.GetPointData().SetScalars(scalars)
    return data


def surface(data, label):
    nets = vtk.vtkSurfaceNets3D()
    nets.SetInputData(data)
    nets.SetValue(0, label)
    nets.SmoothingOn()
    nets.SetOutputMeshTypeToTriangles()
    nets.Update()
    return nets.GetOutput()


def decimate(mesh):
    decimation = vtk.vtkQuadricDecimation()
    decimation.SetInputData(mesh)
    decimation.SetTargetReduction(0.9)
    decimation.Update()
    return decimation.GetOutput()


def write(mesh, path):
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.Update()
    writer = vtk.vtkOBJWriter()
    writer.SetFileName(path)
    writer.SetInputData(normals.GetOutput())
    writer.Write()


def main(folder):
    vtk.vtkSMPTools.SetBackend("STDThread")
    vtk.vtkSMPTools.Initialize(os.cpu_count() or 1)
    stages = {}
    triangles = decimated = 0

    def timed(name, work, *arguments):
        start = time.perf_counter()
        result = work(*arguments)
        stages[name] = stages.get(name, 0.0) + time.perf_counter() - start
        return result

    begin = time.perf_counter()
    image = timed("read", read, folder)
    labels = timed("segment", segment, image)
    data = timed("grid", grid, image, labels)
    with tempfile.TemporaryDirectory() as out:
        for label in (BODY, LUNG, BONE):
            mesh = timed("surface", surface, data, label)
            triangles += mesh.GetNumberOfCells()
            mesh = timed("decimate", decimate, mesh)
            decimated += mesh.GetNumberOfCells()
            timed("write", write, mesh, os.path.join(out, f"{label}.obj"))
        seconds = time.perf_counter() - begin
    print(json.dumps({
        "seconds": seconds,
        "stages": {name: round(s, 3) for name, s in stages.items()},
        # Kilobytes on Linux.
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "triangles": triangles,
        "decimated": decimated,
        "versions": {"SimpleITK": sitk.Version.VersionString(), "vtk": vtk.vtkVersion.GetVTKVersion()},
    }))


if __name__ == "__main__":
    main(sys.argv[1])
