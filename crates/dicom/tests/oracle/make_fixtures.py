"""Makes tests/fixtures/*.dcm: one 40 × 32 slice of 12-bit signed or unsigned pixels in every transfer syntax, packed by DCMTK
and GDCM (inside SimpleITK), so that neither side of a test is ours. Needs pydicom, numpy, SimpleITK and DCMTK's tools.
usage: make_fixtures.py FOLDER
"""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

COLUMNS, ROWS = 40, 32


def pixels(signed, bits):
    """The formula that the Rust test knows too."""
    j, i = np.mgrid[0:ROWS, 0:COLUMNS]
    values = (37 * i + 101 * j + i * j) % (1 << bits)
    return (values - (1 << (bits - 1)) if signed else values).astype(np.int32)


def write(path, signed, bits=12, high_bit=None, allocated=16):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = '2.25.1'
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b'\0' * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, '2.25.1'
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = '2.25.2', '2.25.3', '2.25.4'
    ds.Modality, ds.PatientName, ds.PatientID = 'CT', 'Fixture^Made', 'FIX1'
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDate, ds.StudyTime, ds.StudyID = '', '', '', '', ''
    ds.ReferringPhysicianName, ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = '', '', 1, 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [1, 2, 3], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], 2
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, 'MONOCHROME2'
    high_bit = bits - 1 if high_bit is None else high_bit
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, bits, high_bit, int(signed)
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0 if signed else -1024
    values = (pixels(signed, bits) & ((1 << bits) - 1)) << (high_bit + 1 - bits)
    if signed and high_bit + 1 == bits:
        values = pixels(signed, bits)
    elif high_bit + 1 < allocated:
        values = values | (0b101 << (high_bit + 1) & 0xFFFF)  # an overlay in the unused bits
    ds.PixelData = values.astype('<u2' if allocated == 16 else 'u1').tobytes()
    ds.save_as(path, enforce_file_format=True)


def jpeg_2000(source, signed, path):
    """GDCM's codestream in the header of `source`; GDCM packs all 16 bits."""
    ds = pydicom.dcmread(source)
    dtype = np.int16 if signed else np.uint16
    image = sitk.GetImageFromArray(pixels(signed, 12).astype(dtype))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO('GDCMImageIO')
    writer.UseCompressionOn()
    writer.SetCompressor('JPEG2000')
    writer.SetFileName(str(path))
    writer.Execute(image)
    packed = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
    ds.PixelData, ds.BitsStored, ds.HighBit = packed.PixelData, packed.BitsStored, packed.HighBit
    ds['PixelData'].VR = 'OB'
    ds['PixelData'].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def main():
    out = Path(sys.argv[1])
    out.mkdir(exist_ok=True)
    run = lambda *a: subprocess.run([str(x) for x in a], check=True)
    signed, unsigned, eight = out / 'explicit_signed.dcm', out / 'explicit_unsigned.dcm', out / 'eight_bits.dcm'
    write(signed, True)
    write(unsigned, False)
    write(eight, False, bits=8, allocated=8)
    write(out / 'high_bit_signed.dcm', True, high_bit=13)
    write(out / 'high_bit_unsigned.dcm', False, high_bit=12)
    for name, source in (('signed', signed), ('unsigned', unsigned)):
        run('dcmconv', '+ti', source, out / f'implicit_{name}.dcm')
        run('dcmconv', '+tb', source, out / f'big_endian_{name}.dcm')
        run('dcmconv', '+td', source, out / f'deflated_{name}.dcm')
        run('dcmcrle', source, out / f'rle_{name}.dcm')
        run('dcmcjpls', source, out / f'jpeg_ls_{name}.dcm')
        run('dcmcjpeg', '+e1', '+tl', source, out / f'jpeg_lossless_sv1_{name}.dcm')
        jpeg_2000(source, name == 'signed', out / f'jpeg_2000_{name}.dcm')
    run('dcmcjpeg', '+el', '+sv', '6', '+tl', unsigned, out / 'jpeg_lossless_sv6.dcm')
    run('dcmcjpeg', '+eb', '+q', '95', eight, out / 'jpeg_baseline.dcm')
    run('dcmcjpeg', '+ee', '+q', '95', unsigned, out / 'jpeg_extended_12.dcm')
    for name in ('jpeg_baseline', 'jpeg_extended_12'):
        # What GDCM decodes, rescaled, as little-endian 16-bit numbers.
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / f'{name}.dcm')))
        voxels.astype('<i2').tofile(out / f'{name}.i16')
    run('dcmconv', '-F', '+te', unsigned, out / 'no_preamble.dcm')


main()
