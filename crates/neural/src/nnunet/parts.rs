//! Several networks that each know a part of the labels, such as TotalSegmentator's five.

use std::collections::BTreeMap;

use volume::Volume;

use crate::NeuralError;

/// What one network found.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its labels.
    pub labels: &'a Volume<u16>,
    /// Their names, as in [`Dataset::names`](super::Dataset::names).
    pub names: &'a BTreeMap<u16, String>,
}

/// One label map out of the parts, with the numbers that `numbers` gives to names; later parts write over earlier ones.
///
/// # Errors
/// [`NeuralError::Description`] if a name has no number, [`NeuralError::Input`] if there are no parts or their grids differ.
pub fn join(parts: &[Part<'_>], numbers: &dyn Fn(&str) -> Option<u16>) -> Result<Volume<u16>, NeuralError> {
    let input = |reason: &str| NeuralError::Input { reason: reason.into(), remedy: "give parts of one scan".into() };
    let first = parts.first().ok_or_else(|| input("there are no parts to join"))?;
    let mut joined = Volume::filled(*first.labels.geometry(), 0u16);
    for part in parts {
        if !part.labels.geometry().is_same_grid(joined.geometry(), 1e-3) {
            return Err(input("its parts lie on different grids"));
        }
        let most = part.names.keys().next_back().copied().unwrap_or(0);
        let mut table = vec![0u16; usize::from(most) + 1];
        for (&label, name) in part.names {
            table[usize::from(label)] = numbers(name).ok_or_else(|| NeuralError::Description {
                field: "labels".into(),
                reason: format!("has `{name}`, which is none of the joined map's names"),
            })?;
        }
        for (to, &from) in joined.data_mut().iter_mut().zip(part.labels.data()) {
            match table.get(usize::from(from)) {
                Some(&label) if label != 0 => *to = label,
                _ => {}
            }
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use glam::DMat3;
    use space::Point;
    use volume::ImageGeometry;

    use super::*;

    #[test]
    fn labels_are_joined_by_name() {
        let grid = ImageGeometry::new([4, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let organs = Volume::new(grid, vec![0, 1, 2, 2]).unwrap();
        let bones = Volume::new(grid, vec![1, 0, 0, 1]).unwrap();
        let organ_names = BTreeMap::from([(1, "spleen".to_owned()), (2, "liver".to_owned())]);
        let bone_names = BTreeMap::from([(1, "sacrum".to_owned())]);
        let parts = [Part { labels: &organs, names: &organ_names }, Part { labels: &bones, names: &bone_names }];
        let number = |name: &str| ["spleen", "liver", "sacrum"].iter().position(|n| *n == name).map(|n| 10 + n as u16);
        assert_eq!(join(&parts, &number).unwrap().data(), [12, 10, 11, 12]);
        let error = join(&parts, &|name| (name != "liver").then_some(1)).unwrap_err().to_string();
        assert!(error.contains("liver"), "{error}");
        assert!(join(&[], &number).is_err());
    }
}
