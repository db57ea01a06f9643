//! Reading, from bytes made here, by DCMTK, by GDCM and by scanners.

mod fixtures;
mod grouping;
mod hostile;
mod identity;
mod oracle;
mod repairs;
mod segmentations;
mod synthetic;
mod values;
mod writing;
