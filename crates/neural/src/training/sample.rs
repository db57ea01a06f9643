//! What is learned from: an image with a label for each voxel.

use crate::NeuralError;

/// An image and its labels on one grid; width fastest, then height, depth, channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Voxels in depth, height, width.
    pub size: [usize; 3],
    /// Distance of voxels in mm in the same order.
    pub spacing_mm: [f32; 3],
    /// Values, `[channel, depth, height, width]`, normalised.
    pub image: Vec<f32>,
    /// Class of each voxel.
    pub labels: Vec<u8>,
}

impl Sample {
    /// Voxels of a channel.
    pub fn voxels(&self) -> usize {
        self.size.iter().product()
    }

    /// Channels of the image.
    pub fn channels(&self) -> usize {
        self.image.len() / self.voxels().max(1)
    }

    /// Whether values and labels fill the grid, labels are below `classes`, and values finite.
    pub(super) fn check(&self, channels: usize, classes: usize) -> Result<(), NeuralError> {
        let wrong = |reason: String| {
            Err(NeuralError::Input { reason, remedy: "look at this sample's image and labels".to_owned() })
        };
        if self.voxels() == 0 || self.labels.len() != self.voxels() || self.image.len() != channels * self.voxels() {
            let (image, labels) = (self.image.len(), self.labels.len());
            return wrong(format!("{image} values and {labels} labels for {channels} channels of {:?}", self.size));
        }
        if let Some(label) = self.labels.iter().find(|&&label| usize::from(label) >= classes) {
            return wrong(format!("label {label} with {classes} classes"));
        }
        if self.image.iter().any(|value| !value.is_finite()) {
            return wrong("values that are not finite".to_owned());
        }
        Ok(())
    }
}
