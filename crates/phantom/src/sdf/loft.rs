//! A trunk as a stack of rounded cross-sections.

use glam::{Vec2, Vec3, vec2};

use super::Bounds;
use crate::spline::interpolate;

/// One cross-section of a trunk: two half superellipses, front and back, that meet at the widest line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// Height in mm.
    pub z: f32,
    /// Half width in mm.
    pub half_width: f32,
    /// Foremost y in mm (anterior is negative).
    pub front: f32,
    /// Hindmost y in mm.
    pub back: f32,
    /// The y of the widest line in mm.
    pub widest: f32,
    /// Exponents of front and back: 2 is an ellipse, more is squarer.
    pub power: [f32; 2],
    /// Depth and half width in mm of the furrow along the back's midline.
    pub furrow: [f32; 2],
}

/// Angular steps of the table.
const ANGLES: usize = 256;
/// Distance of table rows in mm.
const STEP_MM: f32 = 2.5;

/// A stack of [`Section`]s, smoothly joined, as a table of radii; left and right are alike.
#[derive(Debug)]
pub struct Loft {
    bottom: f32,
    rows: usize,
    /// The y of the axis by row.
    axis: Vec<f32>,
    /// Radius and slope factor by row and angle.
    cells: Vec<Vec2>,
    widest: f32,
}

impl Loft {
    /// Joins sections given in rising order of z; beyond the ends the last one goes on.
    pub fn new(sections: &[Section]) -> Self {
        let key = |get: fn(&Section) -> f32| -> Vec<(f32, f32)> { sections.iter().map(|s| (s.z, get(s))).collect() };
        let keys = [
            key(|s| s.half_width),
            key(|s| s.front),
            key(|s| s.back),
            key(|s| s.widest),
            key(|s| s.power[0]),
            key(|s| s.power[1]),
            key(|s| s.furrow[0]),
            key(|s| s.furrow[1]),
        ];
        let bottom = sections.first().map_or(0.0, |s| s.z);
        let top = sections.last().map_or(0.0, |s| s.z);
        let rows = ((top - bottom) / STEP_MM).ceil() as usize + 1;
        let mut axis = Vec::with_capacity(rows);
        let mut radii = Vec::with_capacity(rows * ANGLES);
        for row in 0..rows {
            let [half_width, front, back, widest, front_power, back_power, furrow, furrow_width] =
                keys.each_ref().map(|k| interpolate(k, bottom + row as f32 * STEP_MM));
            axis.push(widest);
            for step in 0..ANGLES {
                let u = direction(step as f32 / ANGLES as f32 * 4.0);
                let (depth, power) =
                    if u.y < 0.0 { (widest - front, front_power) } else { (back - widest, back_power) };
                let norm = ((u.x.abs() / half_width).powf(power) + (u.y.abs() / depth).powf(power)).powf(power.recip());
                let aside = u.x / norm / furrow_width;
                let dent = if u.y > 0.0 { furrow * (-aside * aside).exp() } else { 0.0 };
                radii.push(norm.recip() - dent);
            }
        }
        let widest = radii.iter().copied().fold(0.0, f32::max);
        let mut loft = Self { bottom, rows, axis, cells: radii.iter().map(|&r| vec2(r, 1.0)).collect(), widest };
        let slopes: Vec<f32> = (0..rows * ANGLES).map(|cell| loft.slope(cell / ANGLES, cell % ANGLES)).collect();
        for (cell, slope) in loft.cells.iter_mut().zip(slopes) {
            cell.y = slope;
        }
        loft
    }

    /// The point of the surface at height `z` in the direction `angle` radians from the front towards the left.
    pub fn surface(&self, angle: f32, z: f32) -> Vec3 {
        let u = vec2(angle.sin(), -angle.cos());
        let (radius, axis) = (self.lookup(turn(u), z).x, self.axis_at(z));
        Vec3::new(u.x * radius, axis + u.y * radius, z)
    }

    /// Signed distance in mm, first-order exact near the surface.
    pub fn distance(&self, p: Vec3) -> f32 {
        let q = vec2(p.x, p.y - self.axis_at(p.z));
        let cell = self.lookup(turn(q), p.z);
        (q.length() - cell.x) * cell.y
    }

    pub(super) fn bounds(&self) -> Bounds {
        let low = self.axis.iter().copied().fold(f32::INFINITY, f32::min) - self.widest;
        let high = self.axis.iter().copied().fold(f32::NEG_INFINITY, f32::max) + self.widest;
        Bounds { min: Vec3::new(-self.widest, low, -1e6), max: Vec3::new(self.widest, high, 1e6) }
    }

    fn row(&self, z: f32) -> (usize, f32) {
        let row = ((z - self.bottom) / STEP_MM).clamp(0.0, (self.rows - 1) as f32 - 1e-3);
        (row as usize, row.fract())
    }

    fn axis_at(&self, z: f32) -> f32 {
        let (row, t) = self.row(z);
        self.axis[row] + (self.axis[row + 1] - self.axis[row]) * t
    }

    /// Radius and slope factor, bilinear.
    fn lookup(&self, turn: f32, z: f32) -> Vec2 {
        let (row, t) = self.row(z);
        let column = turn * (ANGLES as f32 / 4.0);
        let (left, s) = (column as usize % ANGLES, column.fract());
        let right = (left + 1) % ANGLES;
        let at = |row: usize| self.cells[row * ANGLES + left].lerp(self.cells[row * ANGLES + right], s);
        at(row).lerp(at(row + 1), t)
    }

    /// Cosine of the angle between the radius and the surface normal.
    fn slope(&self, row: usize, column: usize) -> f32 {
        let z = self.bottom + row as f32 * STEP_MM;
        let u = direction(column as f32 / ANGLES as f32 * 4.0);
        let radius = self.cells[row * ANGLES + column].x;
        let p = Vec3::new(u.x * radius, self.axis_at(z) + u.y * radius, z);
        let raw = |q: Vec3| {
            let d = vec2(q.x, q.y - self.axis_at(q.z));
            d.length() - self.lookup(turn(d), q.z).x
        };
        let h = 2.0;
        let gradient = Vec3::new(
            raw(p + Vec3::X * h) - raw(p - Vec3::X * h),
            raw(p + Vec3::Y * h) - raw(p - Vec3::Y * h),
            raw(p + Vec3::Z * h) - raw(p - Vec3::Z * h),
        ) / (2.0 * h);
        gradient.length().max(1.0).recip()
    }
}

/// Direction as a number from 0 to 4, once round the square |x| + |y| = 1; cheap, and as good as an angle.
fn turn(v: Vec2) -> f32 {
    let sum = v.x.abs() + v.y.abs();
    if sum < 1e-12 {
        return 0.0;
    }
    let t = v.y / sum;
    let turn = if v.x >= 0.0 { t } else { 2.0 - t };
    if turn < 0.0 { turn + 4.0 } else { turn }
}

/// The unit vector of a [`turn`].
fn direction(turn: f32) -> Vec2 {
    let t = if turn > 3.0 { turn - 4.0 } else { turn };
    let v = if t <= 1.0 { vec2(1.0 - t.abs(), t) } else { vec2((2.0 - t).abs() - 1.0, 2.0 - t) };
    v.normalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrel() -> Loft {
        let section = |z, half_width| Section {
            z,
            half_width,
            front: -80.0,
            back: 80.0,
            widest: 0.0,
            power: [2.0; 2],
            furrow: [0.0, 16.0],
        };
        Loft::new(&[section(0.0, 80.0), section(50.0, 80.0), section(100.0, 80.0)])
    }

    #[test]
    fn turns_and_directions_agree() {
        for step in 0..400 {
            let t = step as f32 / 100.0;
            assert!((turn(direction(t)) - t).abs() < 1e-4, "turn {t} came back as {}", turn(direction(t)));
        }
    }

    #[test]
    fn a_round_loft_is_a_cylinder() {
        let loft = barrel();
        for (p, d) in [(Vec3::new(60.0, 60.0, 40.0), 4.853), (Vec3::new(0.0, -90.0, 40.0), 10.0)] {
            assert!((loft.distance(p) - d).abs() < 0.05, "{} at {p}", loft.distance(p));
        }
        assert!((loft.surface(std::f32::consts::FRAC_PI_2, 30.0) - Vec3::new(80.0, 0.0, 30.0)).length() < 0.05);
    }
}
