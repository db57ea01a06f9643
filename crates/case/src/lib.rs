//! The case folder: a patient's anatomy as files that the walk, other viewers and people can read.
//!
//! | file | what |
//! |---|---|
//! | `case.json` | the [`Manifest`]: geometry, segments, fidelity, provenance, checksums |
//! | `anatomy.glb` | one node a segment in scene metres, coarser surfaces by `MSFT_lod` |
//! | `scan.nii.gz`, `labels.nii.gz` | the scan and its labels on the scan's own grid |
//! | `confidence.nii.gz`, `inferred.nii.gz` | where models took part: how sure, in percent, and what they made up: 1 grey values, 3 finer slices in which structures were found; 2 in slices that fill a gap |
//! | `report.html` | what was read, measured and made, with pictures, for people |
//! | `marks/`, `sessions/` | what people add later; outside the checksums, kept when a case is built anew |
//!
//! [`write_case`] replaces a folder as a whole or not at all; [`Case::open`] reads it again and trusts nothing in it.
//! Not a medical device.

mod checksum;
mod color;
mod error;
mod folder;
mod glb;
mod manifest;
mod open;
mod report;
mod text;
mod unfinished;
mod window;
mod write;

pub use error::{CaseError, GlbError};
pub use glb::{SceneMesh, SegmentMeshes};
pub use manifest::{
    Checksums, FindingEntry, FindingKind, GeometryEntry, LodEntry, Manifest, ModelRef, NOT_A_MEDICAL_DEVICE,
    ProgramRef, Provenance, RecipeRef, SCHEMA, SegmentEntry, SurfaceEntry,
};
pub use open::Case;
pub use unfinished::{Unfinished, remove_unfinished};
pub use window::{WindowPreset, default_windows};
pub use write::{CaseContents, INTERPOLATED, NO_MODEL, REFINED, Trust, write_case};
