"""3D Slicer's own segmentation core: closed surfaces of every segment of a label map.

usage: slicer_surfaces.py LABELS.nii.gz
needs: slicer-core, nibabel (an environment of their own: slicer-core brings its own VTK)
prints: {"default_s", "nets_s", "decimated_s", "triangles", "decimated_triangles", "threads", "version"}

By the rule "binary labelmap to closed surface", smoothing factor 0.5, all cores: flying edges as Slicer does by default; its
surface nets; and the default with decimation by 90 %. One level of detail each, no error measurement.
"""
import json
import os
import sys
import time

import nibabel
import numpy
import slicer_core
import vtk
from slicer_core import vtkSegmentationCore as core
from vtk.util import numpy_support

FLYING_EDGES, SURFACE_NETS = "0", "1"
BINARY, SURFACE = "Binary labelmap", "Closed surface"


def label_map(path):
    image = nibabel.load(path)
    labels = numpy.asarray(image.dataobj).astype(numpy.uint8)
    data = core.vtkOrientedImageData()
    data.SetDimensions(*labels.shape)
    data.SetSpacing(*map(float, image.header.get_zooms()[:3]))
    flat = numpy.ascontiguousarray(labels.T).ravel()
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=1, array_type=vtk.VTK_UNSIGNED_CHAR))
    return data, [int(label) for label in numpy.unique(flat) if label]


def convert(data, labels, method, decimation):
    segmentation = core.vtkSegmentation()
    segmentation.SetSourceRepresentationName(BINARY)
    for label in labels:
        segment = core.vtkSegment()
        segment.SetName(str(label))
        segment.SetLabelValue(label)
        segment.AddRepresentation(BINARY, data)
        segmentation.AddSegment(segment, str(label))
    segmentation.SetConversionParameter("Conversion method", method)
    segmentation.SetConversionParameter("Smoothing factor", "0.5")
    segmentation.SetConversionParameter("Decimation factor", decimation)
    start = time.perf_counter()
    done = segmentation.CreateRepresentation(SURFACE, True)
    seconds = time.perf_counter() - start
    if not done:
        sys.exit("conversion failed")
    surfaces = [segmentation.GetSegment(str(label)).GetRepresentation(SURFACE) for label in labels]
    return seconds, sum(surface.GetNumberOfCells() for surface in surfaces if surface)


def main(path):
    vtk.vtkSMPTools.SetBackend("STDThread")
    vtk.vtkSMPTools.Initialize(os.cpu_count() or 1)
    rule = core.vtkBinaryLabelmapToClosedSurfaceConversionRule()
    core.vtkSegmentationConverterFactory.GetInstance().RegisterConverterRule(rule)
    data, labels = label_map(path)
    default_s, triangles = convert(data, labels, FLYING_EDGES, "0.0")
    nets_s, _ = convert(data, labels, SURFACE_NETS, "0.0")
    decimated_s, decimated = convert(data, labels, FLYING_EDGES, "0.9")
    print(json.dumps({
        "default_s": default_s,
        "nets_s": nets_s,
        "decimated_s": decimated_s,
        "triangles": triangles,
        "decimated_triangles": decimated,
        "threads": vtk.vtkSMPTools.GetEstimatedNumberOfThreads(),
        "version": vtk.vtkVersion.GetVTKVersion(),
    }))


if __name__ == "__main__":
    main(sys.argv[1])
