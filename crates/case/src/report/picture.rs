//! A picture with its words.

use volume::Label;

use super::canvas::Canvas;
use crate::error::CaseError;

/// An encoded picture.
pub(crate) struct Picture {
    /// What it is: `Axial`, `From the front`.
    pub(crate) title: String,
    /// Where and how, for the caption.
    pub(crate) detail: String,
    /// Pixels.
    pub(crate) size: [usize; 2],
    /// PNG.
    pub(crate) png: Vec<u8>,
    /// The structures in it, the largest first.
    pub(crate) labels: Vec<Label>,
}

impl Picture {
    pub(crate) fn of(canvas: &Canvas, title: &str, detail: String, labels: Vec<Label>) -> Result<Self, CaseError> {
        let size = [canvas.width(), canvas.height()];
        Ok(Self { title: title.to_owned(), detail, size, png: canvas.png()?, labels })
    }
}
