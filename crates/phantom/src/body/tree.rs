//! Trees of hundreds of twigs that fill a lung, grown faster and less carefully than by [`super::arbor`].
//!
//! Leaves are spread evenly through the organ; each joins the tree where the way to it, together with a share of the way
//! from the root, is shortest, so trunks are short and branches reach everywhere. Radii follow Murray's law: the cube of a
//! parent's radius is the sum of its children's (Murray, PNAS 1926; 12: 207).

use glam::{Vec3, vec3};

use crate::noise::Stream;
use crate::sdf::Form;

/// How a tree grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// Where it starts.
    pub root: Vec3,
    /// How many twigs.
    pub leaves: usize,
    /// Radius of a twig in mm.
    pub leaf_radius_mm: f32,
    /// Twigs end this deep below the organ's surface, in mm.
    pub margin_mm: f32,
    /// Length of a segment in mm.
    pub step_mm: f32,
}

/// Share of the way from the root that counts against a joint.
const DETOUR: f32 = 0.35;
/// From the axis of a branch to what it avoids, in mm.
const CLEARANCE_MM: f32 = 2.4;

struct Joint {
    at: Vec3,
    parent: Option<usize>,
    way: f32,
}

/// Grows a tree within a solid, its axes [`CLEARANCE_MM`] away from what is to be avoided; branches are pairs of points with their radii
/// in mm.
pub(super) fn grow(organ: &Form, avoid: Option<&Form>, growth: &Growth, draw: &mut Stream) -> Vec<[(Vec3, f32); 2]> {
    let mut joints = vec![Joint { at: growth.root, parent: None, way: 0.0 }];
    let mut leaves = leaves(organ, growth.leaves, growth.margin_mm, 24.0, 12, draw);
    leaves.sort_by(|a, b| a.distance(growth.root).total_cmp(&b.distance(growth.root)));
    // Far leaves first lay the trunks that the nearer ones join.
    leaves.reverse();
    let mut ends = Vec::new();
    for leaf in leaves {
        let cost = |j: &Joint| j.at.distance(leaf) + DETOUR * j.way;
        let Some(best) = (0..joints.len()).min_by(|&a, &b| cost(&joints[a]).total_cmp(&cost(&joints[b]))) else {
            break;
        };
        let from = joints[best].at;
        let steps = (from.distance(leaf) / growth.step_mm).ceil().max(1.0) as usize;
        let bend = vec3(draw.normal(), draw.normal(), draw.normal()) * (0.07 * from.distance(leaf));
        let mut parent = best;
        for s in 1..=steps {
            let t = s as f32 / steps as f32;
            let at = aside(from.lerp(leaf, t) + bend * (t * (1.0 - t) * 4.0), avoid);
            let way = joints[parent].way + at.distance(joints[parent].at);
            joints.push(Joint { at, parent: Some(parent), way });
            parent = joints.len() - 1;
        }
        ends.push(parent);
    }
    let mut cubes = vec![0.0f32; joints.len()];
    for &end in &ends {
        cubes[end] += growth.leaf_radius_mm.powi(3);
    }
    // A joint's parent always comes before it.
    for i in (0..joints.len()).rev() {
        if let Some(parent) = joints[i].parent {
            cubes[parent] += cubes[i];
        }
    }
    let radius = |i: usize| cubes[i].cbrt();
    let branch = |(i, j): (usize, &Joint)| {
        let parent = j.parent?;
        // A branch leaves with its own radius: it does not swell towards a thick parent.
        Some([(joints[parent].at, radius(parent).min(radius(i) * 1.25)), (j.at, radius(i))])
    };
    joints.iter().enumerate().filter_map(branch).collect()
}

/// A point moved out of the way of what shall be avoided.
fn aside(mut p: Vec3, avoid: Option<&Form>) -> Vec3 {
    let Some(avoid) = avoid else { return p };
    for _ in 0..3 {
        let near = avoid.distance(p);
        if near >= CLEARANCE_MM {
            break;
        }
        let slope = Vec3::AXES.map(|axis| avoid.distance(p + axis * 0.5) - avoid.distance(p - axis * 0.5));
        p += Vec3::from_array(slope).normalize_or(Vec3::Z) * (CLEARANCE_MM - near);
    }
    p
}

/// Up to `count` points spread through a solid, `margin_mm` below its surface: first those `apart_mm` from each other, then closer ones.
pub(super) fn leaves(
    organ: &Form,
    count: usize,
    margin_mm: f32,
    mut apart_mm: f32,
    tries_each: usize,
    draw: &mut Stream,
) -> Vec<Vec3> {
    let b = organ.bounds();
    let (low, high) = (b.min.max(Vec3::splat(-400.0)), b.max.min(Vec3::splat(600.0)));
    let mut points: Vec<Vec3> = Vec::new();
    while points.len() < count && apart_mm > 3.0 {
        for _ in 0..count * tries_each {
            let p = draw.point(low, high);
            let free = points.iter().all(|q| q.distance_squared(p) > apart_mm * apart_mm);
            if free && points.len() < count && organ.holds(p, margin_mm) {
                points.push(p);
            }
        }
        apart_mm *= 0.85;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdf::ball;

    #[test]
    fn a_tree_reaches_its_leaves_and_obeys_murray() {
        let organ = ball(Vec3::ZERO, 40.0);
        let growth =
            Growth { root: vec3(-38.0, 0.0, 0.0), leaves: 60, leaf_radius_mm: 1.0, margin_mm: 4.0, step_mm: 5.0 };
        let branches = grow(&organ, None, &growth, &mut Stream::new(1, "t"));
        let thickest = branches.iter().map(|b| b[1].1).fold(0.0, f32::max);
        assert!(thickest <= 60f32.cbrt() + 1e-3, "root of radius {thickest}");
        let thin = branches.iter().filter(|b| (b[1].1 - 1.0).abs() < 1e-3).count();
        assert!(thin >= 60, "only {thin} twigs");
        assert!(branches.iter().all(|b| organ.distance(b[1].0) < 0.0), "a branch leaves the organ");
    }
}
