//! Letters in the room: a stroke font of our own, as flat meshes that are sharp at any distance and never mirrored.

use std::f32::consts::TAU;

use bevy::asset::RenderAssetUsages;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;

/// A pen movement in a box 1 high; the baseline is y = 0.
#[derive(Clone, Copy)]
enum Stroke {
    /// Straight from point to point.
    Line(&'static [[f32; 2]]),
    /// Middle, radii, first and last angle in degrees, counter-clockwise from the right.
    Arc([f32; 2], [f32; 2], f32, f32),
}
use Stroke::{Arc, Line};

/// Width and strokes of a character; what the font lacks is drawn as a box.
fn glyph(character: char) -> (f32, &'static [Stroke]) {
    match character.to_ascii_uppercase() {
        ' ' => (0.32, &[]),
        'A' => (0.68, &[Line(&[[0.0, 0.0], [0.34, 1.0], [0.68, 0.0]]), Line(&[[0.12, 0.34], [0.56, 0.34]])]),
        'B' => (
            0.58,
            &[
                Line(&[[0.32, 1.0], [0.0, 1.0], [0.0, 0.0], [0.32, 0.0]]),
                Line(&[[0.0, 0.53], [0.32, 0.53]]),
                Arc([0.32, 0.765], [0.22, 0.235], -90.0, 90.0),
                Arc([0.32, 0.265], [0.26, 0.265], -90.0, 90.0),
            ],
        ),
        'C' => (0.64, &[Arc([0.38, 0.5], [0.38, 0.5], 48.0, 312.0)]),
        'D' => (
            0.64,
            &[Line(&[[0.24, 0.0], [0.0, 0.0], [0.0, 1.0], [0.24, 1.0]]), Arc([0.24, 0.5], [0.4, 0.5], -90.0, 90.0)],
        ),
        'E' => (0.52, &[Line(&[[0.52, 1.0], [0.0, 1.0], [0.0, 0.0], [0.52, 0.0]]), Line(&[[0.0, 0.53], [0.42, 0.53]])]),
        'F' => (0.52, &[Line(&[[0.52, 1.0], [0.0, 1.0], [0.0, 0.0]]), Line(&[[0.0, 0.53], [0.42, 0.53]])]),
        'G' => (0.70, &[Arc([0.38, 0.5], [0.38, 0.5], 48.0, 318.0), Line(&[[0.42, 0.46], [0.70, 0.46], [0.70, 0.14]])]),
        'H' => (
            0.62,
            &[Line(&[[0.0, 0.0], [0.0, 1.0]]), Line(&[[0.62, 0.0], [0.62, 1.0]]), Line(&[[0.0, 0.52], [0.62, 0.52]])],
        ),
        'I' => (0.10, &[Line(&[[0.05, 0.0], [0.05, 1.0]])]),
        'J' => (0.44, &[Line(&[[0.44, 1.0], [0.44, 0.24]]), Arc([0.22, 0.24], [0.22, 0.24], 180.0, 360.0)]),
        'K' => (
            0.60,
            &[Line(&[[0.0, 0.0], [0.0, 1.0]]), Line(&[[0.58, 1.0], [0.0, 0.42]]), Line(&[[0.20, 0.60], [0.60, 0.0]])],
        ),
        'L' => (0.50, &[Line(&[[0.0, 1.0], [0.0, 0.0], [0.50, 0.0]])]),
        'M' => (0.78, &[Line(&[[0.0, 0.0], [0.0, 1.0], [0.39, 0.36], [0.78, 1.0], [0.78, 0.0]])]),
        'N' => (0.64, &[Line(&[[0.0, 0.0], [0.0, 1.0], [0.64, 0.0], [0.64, 1.0]])]),
        'O' => (0.76, &[Arc([0.38, 0.5], [0.38, 0.5], 0.0, 360.0)]),
        'P' => (
            0.56,
            &[
                Line(&[[0.0, 0.0], [0.0, 1.0], [0.30, 1.0]]),
                Line(&[[0.0, 0.46], [0.30, 0.46]]),
                Arc([0.30, 0.73], [0.26, 0.27], -90.0, 90.0),
            ],
        ),
        'Q' => (0.76, &[Arc([0.38, 0.5], [0.38, 0.5], 0.0, 360.0), Line(&[[0.46, 0.24], [0.76, -0.06]])]),
        'R' => (
            0.60,
            &[
                Line(&[[0.0, 0.0], [0.0, 1.0], [0.30, 1.0]]),
                Line(&[[0.0, 0.48], [0.30, 0.48]]),
                Arc([0.30, 0.74], [0.26, 0.26], -90.0, 90.0),
                Line(&[[0.28, 0.48], [0.60, 0.0]]),
            ],
        ),
        'S' => {
            (0.56, &[Arc([0.28, 0.755], [0.25, 0.245], 35.0, 270.0), Arc([0.28, 0.255], [0.28, 0.255], -145.0, 90.0)])
        }
        'T' => (0.60, &[Line(&[[0.0, 1.0], [0.60, 1.0]]), Line(&[[0.30, 1.0], [0.30, 0.0]])]),
        'U' => (
            0.62,
            &[
                Line(&[[0.0, 1.0], [0.0, 0.31]]),
                Arc([0.31, 0.31], [0.31, 0.31], 180.0, 360.0),
                Line(&[[0.62, 0.31], [0.62, 1.0]]),
            ],
        ),
        'V' => (0.66, &[Line(&[[0.0, 1.0], [0.33, 0.0], [0.66, 1.0]])]),
        'W' => (0.96, &[Line(&[[0.0, 1.0], [0.24, 0.0], [0.48, 0.72], [0.72, 0.0], [0.96, 1.0]])]),
        'X' => (0.62, &[Line(&[[0.0, 0.0], [0.62, 1.0]]), Line(&[[0.0, 1.0], [0.62, 0.0]])]),
        'Y' => (0.64, &[Line(&[[0.0, 1.0], [0.32, 0.46], [0.64, 1.0]]), Line(&[[0.32, 0.46], [0.32, 0.0]])]),
        'Z' => (0.58, &[Line(&[[0.0, 1.0], [0.58, 1.0], [0.0, 0.0], [0.58, 0.0]])]),
        '0' => (0.56, &[Arc([0.28, 0.5], [0.28, 0.5], 0.0, 360.0)]),
        '1' => (0.30, &[Line(&[[0.0, 0.80], [0.24, 1.0], [0.24, 0.0]])]),
        '2' => {
            (0.56, &[Arc([0.28, 0.72], [0.27, 0.28], -20.0, 165.0), Line(&[[0.533, 0.624], [0.0, 0.0], [0.56, 0.0]])])
        }
        '3' => (0.56, &[Arc([0.26, 0.76], [0.24, 0.24], -90.0, 150.0), Arc([0.27, 0.26], [0.28, 0.26], -150.0, 90.0)]),
        '4' => (0.60, &[Line(&[[0.44, 0.0], [0.44, 1.0], [0.0, 0.30], [0.60, 0.30]])]),
        '5' => {
            (0.56, &[Line(&[[0.50, 1.0], [0.08, 1.0], [0.04, 0.54]]), Arc([0.27, 0.32], [0.29, 0.32], -145.0, 142.0)])
        }
        '6' => (0.56, &[Arc([0.28, 0.30], [0.28, 0.30], 0.0, 360.0), Line(&[[0.44, 1.0], [0.10, 0.53], [0.02, 0.40]])]),
        '7' => (0.54, &[Line(&[[0.0, 1.0], [0.54, 1.0], [0.16, 0.0]])]),
        '8' => (0.56, &[Arc([0.28, 0.76], [0.23, 0.24], 0.0, 360.0), Arc([0.28, 0.26], [0.28, 0.26], 0.0, 360.0)]),
        '9' => (0.56, &[Arc([0.28, 0.70], [0.28, 0.30], 0.0, 360.0), Line(&[[0.12, 0.0], [0.46, 0.47], [0.54, 0.60]])]),
        '.' => (0.10, &[Line(&[[0.05, 0.0], [0.05, 0.02]])]),
        ',' => (0.12, &[Line(&[[0.08, 0.04], [0.02, -0.16]])]),
        ':' => (0.10, &[Line(&[[0.05, 0.08], [0.05, 0.10]]), Line(&[[0.05, 0.58], [0.05, 0.60]])]),
        '-' => (0.40, &[Line(&[[0.03, 0.46], [0.37, 0.46]])]),
        '+' => (0.50, &[Line(&[[0.0, 0.46], [0.50, 0.46]]), Line(&[[0.25, 0.21], [0.25, 0.71]])]),
        '/' => (0.44, &[Line(&[[0.0, -0.08], [0.44, 1.08]])]),
        '(' => (0.26, &[Arc([0.42, 0.5], [0.42, 0.68], 125.0, 235.0)]),
        ')' => (0.26, &[Arc([-0.16, 0.5], [0.42, 0.68], -55.0, 55.0)]),
        '_' => (0.50, &[Line(&[[0.0, -0.1], [0.50, -0.1]])]),
        '%' => (
            0.78,
            &[
                Arc([0.17, 0.80], [0.17, 0.20], 0.0, 360.0),
                Arc([0.61, 0.20], [0.17, 0.20], 0.0, 360.0),
                Line(&[[0.12, 0.0], [0.66, 1.0]]),
            ],
        ),
        _ => (0.50, &[Line(&[[0.0, 0.0], [0.50, 0.0], [0.50, 1.0], [0.0, 1.0], [0.0, 0.0]])]),
    }
}

/// Between characters, in heights.
const GAP: f32 = 0.24;
/// Height of lower case, which is drawn as small capitals.
const SMALL: f32 = 0.74;
/// Half the pen's width, in heights.
const PEN: f32 = 0.075;

/// Width of a text 1 high.
pub(crate) fn text_width(text: &str) -> f32 {
    let sum: f32 = text.chars().map(|c| glyph(c).0 * size_of_character(c) + GAP).sum();
    (sum - GAP).max(0.0)
}

fn size_of_character(character: char) -> f32 {
    if character.is_lowercase() { SMALL } else { 1.0 }
}

/// Collects coloured triangles.
#[derive(Clone, Debug, Default)]
pub(crate) struct MarkMesh {
    positions: Vec<Vec3>,
    normals: Vec<Vec3>,
    colors: Vec<[f32; 4]>,
    triangles: Vec<u32>,
}

impl MarkMesh {
    /// A text 1 high around the middle of the XY plane, scaled and laid out by `frame`; read from +Z.
    pub(crate) fn text(&mut self, text: &str, frame: Mat4, color: LinearRgba) {
        let mut x = -text_width(text) / 2.0;
        for character in text.chars() {
            let (width, strokes) = glyph(character);
            let size = size_of_character(character);
            for stroke in strokes {
                let points = points_of(stroke, x, size);
                self.ribbon(&points, PEN, frame, color);
            }
            x += width * size + GAP;
        }
    }

    /// A text that reads the same from both sides: each side sees its own copy.
    pub(crate) fn text_both_sides(&mut self, text: &str, frame: Mat4, color: LinearRgba) {
        self.text(text, frame, color);
        let behind = Mat4::from_rotation_y(std::f32::consts::PI);
        self.text(text, frame * behind, color);
    }

    /// A flat line with round joints and ends in the XY plane of `frame`.
    fn ribbon(&mut self, points: &[Vec2], half_width: f32, frame: Mat4, color: LinearRgba) {
        for pair in points.windows(2) {
            let along = (pair[1] - pair[0]).normalize_or_zero() * half_width;
            let across = along.perp();
            self.quad([pair[0] - across, pair[1] - across, pair[1] + across, pair[0] + across], frame, color);
        }
        for &point in points {
            self.disc(point, half_width, frame, color);
        }
    }

    fn quad(&mut self, corners: [Vec2; 4], frame: Mat4, color: LinearRgba) {
        let first = self.positions.len() as u32;
        for corner in corners {
            self.vertex(corner, frame, color);
        }
        self.triangles.extend([0, 1, 2, 0, 2, 3].map(|i| first + i));
    }

    fn disc(&mut self, middle: Vec2, radius: f32, frame: Mat4, color: LinearRgba) {
        const SIDES: u32 = 10;
        let first = self.positions.len() as u32;
        for i in 0..SIDES {
            let at = middle + Vec2::from_angle(i as f32 / SIDES as f32 * TAU) * radius;
            self.vertex(at, frame, color);
        }
        for i in 1..SIDES - 1 {
            self.triangles.extend([first, first + i, first + i + 1]);
        }
    }

    fn vertex(&mut self, at: Vec2, frame: Mat4, color: LinearRgba) {
        self.positions.push(frame.transform_point3(at.extend(0.0)));
        self.normals.push(frame.transform_vector3(Vec3::Z).normalize_or_zero());
        self.colors.push(color.to_f32_array());
    }

    /// A closed surface of revolution about +Y: radius and height from the bottom up, laid out by `frame`.
    pub(crate) fn turned(&mut self, profile: &[[f32; 2]], frame: Mat4, color: LinearRgba) {
        const SIDES: u32 = 20;
        let normal_frame = Mat3::from_mat4(frame).inverse().transpose();
        let first = self.positions.len() as u32;
        for (ring, &[radius, height]) in profile.iter().enumerate() {
            let before = profile[ring.saturating_sub(1)];
            let after = profile[(ring + 1).min(profile.len() - 1)];
            // The normal of the outline: its direction turned by a quarter.
            let slope = Vec2::new(after[1] - before[1], before[0] - after[0]).normalize_or_zero();
            for side in 0..SIDES {
                let (sin, cos) = (side as f32 / SIDES as f32 * TAU).sin_cos();
                self.positions.push(frame.transform_point3(Vec3::new(cos * radius, height, -sin * radius)));
                let normal = Vec3::new(cos * slope.x, slope.y, -sin * slope.x);
                self.normals.push((normal_frame * normal).normalize_or_zero());
                self.colors.push(color.to_f32_array());
            }
        }
        for ring in 0..profile.len() as u32 - 1 {
            for side in 0..SIDES {
                let [a, b] = [side, (side + 1) % SIDES].map(|s| first + ring * SIDES + s);
                let [c, d] = [b + SIDES, a + SIDES];
                self.triangles.extend([a, b, c, a, c, d]);
            }
        }
    }

    /// An ellipsoid with the given half axes.
    pub(crate) fn ellipsoid(&mut self, half: Vec3, frame: Mat4, color: LinearRgba) {
        const RINGS: usize = 12;
        let profile: Vec<[f32; 2]> = (0..=RINGS)
            .map(|i| {
                let (sin, cos) = (i as f32 / RINGS as f32 * std::f32::consts::PI).sin_cos();
                [sin, -cos]
            })
            .collect();
        self.turned(&profile, frame * Mat4::from_scale(half), color);
    }

    /// A rod with round ends between two points.
    pub(crate) fn rod(&mut self, from: Vec3, to: Vec3, radius: f32, color: LinearRgba) {
        let along = to - from;
        let length = along.length();
        let turn = Quat::from_rotation_arc(Vec3::Y, along.try_normalize().unwrap_or(Vec3::Y));
        let mut profile = Vec::new();
        for i in 0..=4 {
            let (sin, cos) = (i as f32 / 4.0 * std::f32::consts::FRAC_PI_2).sin_cos();
            profile.push([sin * radius, -cos * radius]);
        }
        for i in 0..=4 {
            let (sin, cos) = (i as f32 / 4.0 * std::f32::consts::FRAC_PI_2).sin_cos();
            profile.push([cos * radius, length + sin * radius]);
        }
        self.turned(&profile, Mat4::from_rotation_translation(turn, from), color);
    }

    /// True if nothing was drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.triangles.is_empty()
    }

    /// For the graphics device.
    pub(crate) fn into_mesh(self) -> Mesh {
        let positions: Vec<[f32; 3]> = self.positions.iter().map(Vec3::to_array).collect();
        let normals: Vec<[f32; 3]> = self.normals.iter().map(Vec3::to_array).collect();
        Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
            .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
            .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, normals)
            .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, self.colors)
            .with_inserted_indices(Indices::U32(self.triangles))
    }
}

fn points_of(stroke: &Stroke, x: f32, size: f32) -> Vec<Vec2> {
    let place = |p: Vec2| Vec2::new(x, 0.0) + Vec2::new(p.x, p.y) * size - Vec2::new(0.0, 0.5);
    match *stroke {
        Line(points) => points.iter().map(|&p| place(Vec2::from_array(p))).collect(),
        Arc(middle, radii, from, to) => {
            let steps = ((to - from).abs() / 15.0).ceil().max(2.0) as usize;
            (0..=steps)
                .map(|i| {
                    let angle = (from + (to - from) * i as f32 / steps as f32).to_radians();
                    let (sin, cos) = angle.sin_cos();
                    place(Vec2::from_array(middle) + Vec2::new(cos * radii[0], sin * radii[1]))
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_has_its_foot_to_the_right_and_both_sides_read_alike() {
        let mut mesh = MarkMesh::default();
        mesh.text("L", Mat4::IDENTITY, LinearRgba::WHITE);
        let foot = mesh.positions.iter().filter(|p| p.y < -0.4).map(|p| p.x).fold(f32::MIN, f32::max);
        let head = mesh.positions.iter().filter(|p| p.y > 0.4).map(|p| p.x).fold(f32::MIN, f32::max);
        assert!(foot > 0.2 && head < 0.0, "foot {foot}, head {head}");
        assert!(mesh.normals.iter().all(|n| n.z > 0.99));

        let mut both = MarkMesh::default();
        both.text_both_sides("L", Mat4::IDENTITY, LinearRgba::WHITE);
        let half = both.positions.len() / 2;
        // Seen from behind, right is −X: the second copy's foot points there.
        let foot = both.positions[half..].iter().filter(|p| p.y < -0.4).map(|p| p.x).fold(f32::MAX, f32::min);
        assert!(foot < -0.2, "{foot}");
        assert!(both.normals[half..].iter().all(|n| n.z < -0.99));
    }

    #[test]
    fn triangles_wind_the_way_their_normals_point() {
        let mut mesh = MarkMesh::default();
        mesh.text("8R&", Mat4::from_scale(Vec3::splat(0.3)), LinearRgba::WHITE);
        mesh.rod(Vec3::ZERO, Vec3::new(0.3, 0.4, 0.5), 0.05, LinearRgba::RED);
        mesh.ellipsoid(Vec3::new(0.1, 0.2, 0.3), Mat4::IDENTITY, LinearRgba::RED);
        for triangle in mesh.triangles.chunks_exact(3) {
            let [a, b, c] = [0, 1, 2].map(|i| mesh.positions[triangle[i] as usize]);
            let area = (b - a).cross(c - a);
            let normal: Vec3 = (0..3).map(|i| mesh.normals[triangle[i] as usize]).sum();
            assert!(area.length() < 1e-7 || area.dot(normal) > 0.0, "{a} {b} {c}");
        }
    }
}
