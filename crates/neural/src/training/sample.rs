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

    /// Parts of at most this size that cover the sample, side by side; the last of a row overlaps the one before it.
    pub fn tiles(&self, size: [usize; 3]) -> Vec<Self> {
        let size = [0, 1, 2].map(|a| size[a].clamp(1, self.size[a].max(1)));
        let [depth, height, width] = [0, 1, 2].map(|a| {
            let count = self.size[a].div_ceil(size[a]);
            (0..count).map(|n| (n * size[a]).min(self.size[a] - size[a])).collect::<Vec<usize>>()
        });
        let corners = depth.iter().flat_map(|&d| height.iter().map(move |&h| (d, h)));
        corners.flat_map(|(d, h)| width.iter().map(move |&w| [d, h, w])).map(|corner| self.part(corner, size)).collect()
    }

    /// The part of a size that begins at a corner.
    fn part(&self, [d, h, w]: [usize; 3], size: [usize; 3]) -> Self {
        let rows = (0..size[0]).flat_map(|k| (0..size[1]).map(move |j| (k, j)));
        let starts: Vec<usize> = rows.map(|(k, j)| ((d + k) * self.size[1] + h + j) * self.size[2] + w).collect();
        let channels = self.image.chunks_exact(self.voxels());
        Self {
            size,
            spacing_mm: self.spacing_mm,
            image: channels.flat_map(|c| starts.iter().flat_map(|&at| &c[at..at + size[2]])).copied().collect(),
            labels: starts.iter().flat_map(|&at| &self.labels[at..at + size[2]]).copied().collect(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_sample() {
        let size = [5, 3, 7];
        let image: Vec<f32> = (0..2 * 105).map(|n| n as f32).collect();
        let sample = Sample { size, spacing_mm: [1.0; 3], image, labels: (0..105).collect() };
        let tiles = sample.tiles([2, 4, 4]);
        assert_eq!(tiles.len(), 3 * 2);
        let mut seen = [false; 105];
        for tile in &tiles {
            assert_eq!(tile.size, [2, 3, 4]);
            tile.check(2, 256).unwrap();
            for (at, &label) in tile.labels.iter().enumerate() {
                seen[usize::from(label)] = true;
                assert_eq!([tile.image[at], tile.image[24 + at]], [f32::from(label), f32::from(label) + 105.0]);
            }
        }
        assert!(seen.iter().all(|&s| s));
        // The last one ends with the sample.
        assert_eq!(tiles[5].labels.last(), Some(&104));
        assert_eq!(sample.tiles([9, 9, 9]), std::slice::from_ref(&sample));
    }
}
