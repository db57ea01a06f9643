#!/bin/sh
# Fills fuzz/corpus from the seeds here and the fixtures and finds of the DICOM crate.
set -eu
cd "$(dirname "$0")"
tests=../crates/dicom/tests
for target in dicom_file dicom_series dicom_seg nifti nrrd; do
    mkdir -p "corpus/$target"
    if [ -d "seeds/$target" ]; then cp seeds/"$target"/* "corpus/$target/"; fi
done
cp "$tests"/fixtures/*.dcm "$tests"/hostile/* corpus/dicom_file/
cat "$tests"/fixtures/explicit_*.dcm "$tests"/fixtures/high_bit_*.dcm > corpus/dicom_series/four
cat "$tests"/fixtures/implicit_signed.dcm "$tests"/fixtures/rle_signed.dcm > corpus/dicom_series/two
