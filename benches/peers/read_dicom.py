"""Reads a folder of DICOM slices to one volume, with SimpleITK and with pydicom; best of five each, warm in the page cache.

usage: read_dicom.py DICOM_FOLDER
needs: SimpleITK, pydicom, numpy
prints: {"simpleitk_s", "pydicom_s", "slices", "versions"}
"""
import json
import os
import sys
import time

import numpy
import pydicom
import SimpleITK as sitk

REPEATS = 5


def best(work, folder):
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work(folder)
        times.append(time.perf_counter() - start)
    return min(times), result


def with_simpleitk(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    return reader.Execute()


def with_pydicom(folder):
    slices = [pydicom.dcmread(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".dcm")]
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    return numpy.stack([s.pixel_array for s in slices])


def main(folder):
    simpleitk_s, image = best(with_simpleitk, folder)
    pydicom_s, volume = best(with_pydicom, folder)
    if image.GetSize()[2] != len(volume):
        sys.exit(f"SimpleITK read {image.GetSize()[2]} slices, pydicom {len(volume)}")
    print(json.dumps({
        "simpleitk_s": simpleitk_s,
        "pydicom_s": pydicom_s,
        "slices": len(volume),
        "versions": {"SimpleITK": sitk.Version.VersionString(), "pydicom": pydicom.__version__},
    }))


if __name__ == "__main__":
    main(sys.argv[1])
