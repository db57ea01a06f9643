#!/bin/sh
# Fills fuzz/corpus from the fixtures of the DICOM crate.
set -eu
cd "$(dirname "$0")"
fixtures=../crates/dicom/tests
mkdir -p corpus/dicom_file corpus/dicom_series corpus/dicom_seg corpus/nifti corpus/nrrd
cp "$fixtures"/fixtures/*.dcm "$fixtures"/hostile/* corpus/dicom_file/
cat "$fixtures"/fixtures/explicit_*.dcm "$fixtures"/fixtures/high_bit_*.dcm > corpus/dicom_series/four
cat "$fixtures"/fixtures/implicit_signed.dcm "$fixtures"/fixtures/rle_signed.dcm > corpus/dicom_series/two
cp "$fixtures"/fixtures/segmentation_*.dcm corpus/dicom_seg/
printf 'NRRD0005\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n0123456789abcdef' > corpus/nrrd/raw
