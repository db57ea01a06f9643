//! DICOM to volume and label map, and back; patient identity stops here.
