//! Reading, from bytes made here, by DCMTK, by GDCM and by scanners.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

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
