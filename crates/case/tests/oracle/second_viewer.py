"""Opens anatomy.glb in VTK (vtkGLTFReader) and compares each structure's bounding box with its labels'.

usage: second_viewer.py CASE
"""
import json, sys, time
import numpy as np, SimpleITK as sitk, vtk
from vtk.util.numpy_support import vtk_to_numpy

case = sys.argv[1]
manifest = json.load(open(f"{case}/case.json"))
reader = vtk.vtkGLTFReader(); reader.SetFileName(f"{case}/anatomy.glb"); t = time.time(); reader.Update(); print(f"vtkGLTFReader {time.time()-t:.2f} s")
meshes = []
def walk(block):
    for i in range(block.GetNumberOfBlocks()):
        b = block.GetBlock(i)
        name = block.GetMetaData(i).Get(vtk.vtkCompositeDataSet.NAME()) if block.HasMetaData(i) else None
        if isinstance(b, vtk.vtkMultiBlockDataSet): walk(b)
        elif b is not None: meshes.append((name, b))
walk(reader.GetOutput())
segments = [s for s in manifest["segments"] if s["surface"]["lods"]]
print(len(meshes), "meshes shown,", len(segments), "segments with a surface")
assert len(meshes) == len(segments)
image = sitk.ReadImage(f"{case}/labels.nii.gz")
labels = sitk.GetArrayFromImage(image)
spacing = np.array(image.GetSpacing()); size = np.array(image.GetSize())
g = manifest["geometry"]
assert np.allclose(image.GetDirection(), g["direction"], atol=1e-4) and np.allclose(image.GetOrigin(), g["origin_mm"], atol=1e-2)
direction = np.array(image.GetDirection()).reshape(3, 3); origin = np.array(image.GetOrigin())
stats = sitk.LabelShapeStatisticsImageFilter(); stats.Execute(sitk.Cast(image, sitk.sitkUInt16))
worst = 0
for s, (name, m) in zip(segments, meshes):
    assert m.GetNumberOfCells() == s["surface"]["lods"][0]["triangles"], (s["name"], m.GetNumberOfCells())
    # physical box of the union's voxels, corner to corner
    lo, hi = np.full(3, np.inf), np.full(3, -np.inf)
    for l in [s["label"], *s["parts"]]:
        if not stats.HasLabel(l): continue
        b = np.array(stats.GetBoundingBox(l)); start, n = b[:3], b[3:]
        for c in np.ndindex(2, 2, 2):
            p = origin + direction @ (spacing * (start - 0.5 + np.array(c) * n))
            lo, hi = np.minimum(lo, p), np.maximum(hi, p)
    # scene metres (x, y, z) -> LPS mm (x, -z, y)
    x0, x1, y0, y1, z0, z1 = np.array(m.GetBounds()) * 1000
    got_lo, got_hi = np.array([x0, -z1, y0]), np.array([x1, -z0, y1])
    d = max(np.abs(got_lo - lo).max(), np.abs(got_hi - hi).max()); 
    if d > worst: worst, who = d, s["name"]
print(f"bounding boxes differ by at most {worst:.2f} mm ({who}); voxels are {spacing} mm")
assert worst <= spacing.max()
