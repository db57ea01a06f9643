"""What SimpleITK reads from the series in a data folder: geometry, and a SHA-256 of the voxels as little-endian i16 where
all fit, else f32. The result is committed as simpleitk.json. usage: simpleitk.py DATA > simpleitk.json
"""
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

FOLDERS = ['ct-chest', 'mr-head-t1', 'ct-abdomen/example_ct_dicom', 'dicom-seg/dcmqi-ct-3slice']


def read(folder, series):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    image = reader.Execute()
    voxels = sitk.GetArrayFromImage(image)
    fits = np.all(voxels == np.round(voxels)) and voxels.min() >= -32768 and voxels.max() <= 32767
    voxels = voxels.astype('<i2' if fits else '<f4')
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return {
        'size': image.GetSize(), 'spacing': image.GetSpacing(), 'origin': image.GetOrigin(),
        'direction_columns': direction.T.flatten().tolist(), 'type': str(voxels.dtype),
        'minimum': float(voxels.min()), 'maximum': float(voxels.max()), 'sum': float(voxels.sum(dtype=np.float64)),
        'sha256': hashlib.sha256(voxels.tobytes()).hexdigest(),
    }


def main():
    data, result = Path(sys.argv[1]), {'simpleitk': sitk.Version_VersionString(), 'series': {}}
    for folder in FOLDERS:
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(data / folder)):
            first = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(data / folder), series)[0]
            modality = sitk.ReadImage(first).GetMetaData('0008|0060')
            if modality in ('CT', 'MR'):
                result['series'][folder] = read(data / folder, series)
    json.dump(result, sys.stdout, indent=1)
    print()


main()
