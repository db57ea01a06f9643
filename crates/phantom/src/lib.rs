//! A digital patient: procedural anatomy with exact truth, written as real DICOM.
