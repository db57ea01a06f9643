//! `report.html`: what was read, measured and made, for people; one file, no network.

mod canvas;
mod html;
mod picture;
mod shaded;
mod slices;

use rayon::prelude::*;

use crate::error::CaseError;
use crate::manifest::Manifest;
use crate::write::CaseContents;

pub(crate) use html::html;
use picture::Picture;

/// The pictures of a report.
pub(crate) struct Pictures {
    slices: Vec<Picture>,
    views: Vec<Picture>,
}

/// Draws slices and views of what a case will hold.
///
/// # Errors
/// [`CaseError::Picture`] if a picture cannot be encoded.
pub(crate) fn draw(manifest: &Manifest, contents: &CaseContents<'_>) -> Result<Pictures, CaseError> {
    let (slices, views) = rayon::join(
        || {
            let cuts = slices::choose(manifest, contents.labels);
            let painter = slices::Painter::new(manifest, contents);
            cuts.par_iter().map(|cut| painter.draw(cut)).collect::<Result<Vec<_>, _>>()
        },
        || shaded::draw_views(manifest, contents.surfaces),
    );
    Ok(Pictures { slices: slices?, views: views? })
}
