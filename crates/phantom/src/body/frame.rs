//! The two sides and the levels of the spine, to which everything else refers.

use glam::{Mat3, Vec3, vec3};

use crate::spline::interpolate;

/// One side of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The patient's left: positive x in LPS.
    Left,
    /// The patient's right: negative x in LPS.
    Right,
}

impl Side {
    /// Left, then right.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// +1 on the left, −1 on the right.
    pub const fn sign(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }

    /// A point given as on the left.
    pub fn at(self, x: f32, y: f32, z: f32) -> Vec3 {
        vec3(self.sign() * x, y, z)
    }

    /// `left` or `right`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// One vertebra's place and size in mm.
#[derive(Clone, Copy, Debug)]
pub struct SpineLevel {
    /// `C7` … `L5`.
    pub name: &'static str,
    /// Middle of the vertebral body.
    pub center: Vec3,
    /// Unit axes as columns: left, posterior, up along the spine.
    pub axes: Mat3,
    /// Height of the body.
    pub height: f32,
    /// Width of the body.
    pub width: f32,
    /// Depth of the body.
    pub depth: f32,
    /// Width and depth of the canal.
    pub canal: [f32; 2],
    /// Half the span of the transverse processes.
    pub transverse: f32,
    /// Height of the disc below.
    pub disc: f32,
}

impl SpineLevel {
    /// A point given in the vertebra's own axes, on one side.
    pub fn at(&self, side: Side, x: f32, y: f32, z: f32) -> Vec3 {
        self.center + self.axes * side.at(x, y, z)
    }

    /// A point of the middle plane.
    pub fn mid(&self, y: f32, z: f32) -> Vec3 {
        self.center + self.axes * vec3(0.0, y, z)
    }
}

/// C7 to L5.
#[derive(Clone, Debug)]
pub struct Spine {
    /// From L5 upwards.
    pub levels: Vec<SpineLevel>,
}

/// Name, height, width, depth, canal width and depth, half transverse span, disc below: mm, from L5 upwards.
///
/// After Panjabi et al. (Spine 1991; 16: 888 and 1992; 17: 299) and Gilad and Nissan (Spine 1986; 11: 154), rounded and
/// set to the stature of the reference adult; discs after Kunkel et al. (J Anat 2011; 219: 375).
const LEVELS: [(&str, [f32; 7]); 18] = [
    ("L5", [27.0, 50.0, 35.5, 26.0, 17.5, 44.0, 10.0]),
    ("L4", [27.5, 48.0, 35.0, 23.5, 17.0, 43.0, 11.0]),
    ("L3", [28.0, 46.0, 34.5, 23.0, 17.0, 47.0, 10.5]),
    ("L2", [27.5, 44.5, 34.0, 22.5, 17.0, 41.0, 9.5]),
    ("L1", [26.5, 43.0, 33.0, 22.5, 17.0, 37.0, 8.5]),
    ("T12", [24.5, 41.0, 32.0, 21.0, 17.0, 22.0, 7.0]),
    ("T11", [23.0, 38.5, 31.0, 18.5, 16.5, 25.0, 6.0]),
    ("T10", [22.0, 35.5, 30.0, 17.0, 16.0, 29.0, 5.5]),
    ("T9", [21.0, 33.5, 29.0, 16.5, 16.0, 30.0, 5.0]),
    ("T8", [20.5, 32.0, 28.0, 16.5, 16.0, 31.0, 5.0]),
    ("T7", [20.0, 30.5, 27.0, 16.5, 16.0, 31.5, 4.5]),
    ("T6", [19.5, 29.5, 25.5, 16.5, 16.0, 32.0, 4.5]),
    ("T5", [19.0, 28.5, 24.0, 16.5, 16.0, 32.0, 4.0]),
    ("T4", [18.5, 28.0, 22.5, 17.0, 16.0, 32.5, 4.0]),
    ("T3", [18.0, 28.5, 21.0, 17.5, 16.0, 33.0, 4.0]),
    ("T2", [17.5, 29.0, 19.5, 18.5, 15.5, 35.0, 4.0]),
    ("T1", [16.5, 29.0, 18.0, 20.5, 15.5, 37.5, 4.5]),
    ("C7", [15.0, 25.0, 17.0, 23.0, 14.5, 33.0, 5.5]),
];

/// The y of the middle of the vertebral bodies by height: lordosis below, kyphosis above.
const CURVE: [(f32, f32); 14] = [
    (0.0, 31.0),
    (20.0, 24.5),
    (56.0, 18.5),
    (93.0, 16.5),
    (130.0, 18.5),
    (166.0, 23.0),
    (200.0, 29.0),
    (245.0, 37.5),
    (290.0, 43.5),
    (335.0, 46.0),
    (380.0, 43.5),
    (425.0, 36.5),
    (470.0, 26.0),
    (530.0, 12.0),
];

impl Default for Spine {
    fn default() -> Self {
        Self::new()
    }
}

impl Spine {
    /// The reference spine.
    pub fn new() -> Self {
        let slope = |z: f32| (interpolate(&CURVE, z + 12.0) - interpolate(&CURVE, z - 12.0)) / 24.0;
        let mut z = 0.0;
        let levels = LEVELS.map(|(name, [height, width, depth, canal_width, canal_depth, transverse, disc])| {
            let rise = |z: f32, way: f32| z + way / (1.0 + slope(z).powi(2)).sqrt();
            let middle = rise(z, disc + height / 2.0);
            z = rise(middle, height / 2.0);
            let up = vec3(0.0, slope(middle), 1.0).normalize();
            let axes = Mat3::from_cols(Vec3::X, vec3(0.0, up.z, -up.y), up);
            let center = vec3(0.0, interpolate(&CURVE, middle), middle);
            let canal = [canal_width, canal_depth];
            SpineLevel { name, center, axes, height, width, depth, canal, transverse, disc }
        });
        Self { levels: levels.to_vec() }
    }

    /// T1 to T12, with their numbers.
    pub fn thoracic(&self) -> impl Iterator<Item = (usize, &SpineLevel)> {
        (1..=12).map(|n| (n, &self.levels[17 - n]))
    }

    /// Middle of the canal along the spine, from the sacrum up, with its half width and half depth.
    pub fn canal(&self) -> Vec<(Vec3, [f32; 2])> {
        let middle = |l: &SpineLevel| (l.mid((l.depth + l.canal[1]) / 2.0 - 0.5, 0.0), l.canal.map(|c| c / 2.0));
        self.levels.iter().map(middle).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spine_has_its_lengths_and_curves() {
        let spine = Spine::new();
        let level = |name: &str| *spine.levels.iter().find(|l| l.name == name).unwrap();
        let span = |low: &str, high: &str| level(high).center.distance(level(low).center);
        assert!((130.0..165.0).contains(&span("L5", "L1")), "lumbar {}", span("L5", "L1"));
        assert!((235.0..290.0).contains(&span("T12", "T1")), "thoracic {}", span("T12", "T1"));
        let tilt = |name: &str| level(name).axes.z_axis.y.asin().to_degrees();
        let kyphosis = tilt("T12") - tilt("T2");
        let lordosis = tilt("L1") - tilt("L5");
        assert!((20.0..45.0).contains(&kyphosis), "kyphosis {kyphosis}");
        assert!((15.0..45.0).contains(&lordosis), "lordosis without the sacrum {lordosis}");
        assert_eq!(spine.thoracic().map(|(_, l)| l.name).collect::<Vec<_>>()[..2], ["T1", "T2"]);
    }
}
