//! Vascular trees that fill an organ.
//!
//! Constrained constructive optimisation (Schreiner and Buxbaum, IEEE Trans Biomed Eng 1993; 40: 482): leaves are spread
//! evenly through the organ, and each joins the branch where it adds least volume of blood to the tree, the joint placed to
//! keep that volume least. Radii follow Murray's law: the cube of a parent's radius is the sum of its children's (Murray,
//! PNAS 1926; 12: 207). No branch leaves its organ or comes near what it must avoid.

use glam::Vec3;

use crate::noise::Stream;
use crate::sdf::{Form, Shape};

/// A point of the trunk that anatomy prescribes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joint {
    /// Position.
    pub at: Vec3,
    /// The joint before it on the way to the root; the first joint is the root and names itself.
    pub parent: usize,
    /// Leaves of this territory may join the branch that ends here; 0 for none.
    pub territory: u8,
}

/// How a tree grows.
pub(super) struct Growth<'a> {
    /// Where branches may run.
    pub organ: &'a Form,
    /// What anatomy prescribes of it, parents first.
    pub trunk: &'a [Joint],
    /// The territory of a point; its leaf joins branches of that territory only.
    pub territory: &'a dyn Fn(Vec3) -> u8,
    /// How many twigs beside the ends of the trunk.
    pub leaves: usize,
    /// Radius of a twig in mm.
    pub leaf_radius_mm: f32,
    /// Twigs end this deep below the organ's surface, in mm.
    pub margin_mm: f32,
    /// Least distance in mm from a branch's wall to the organ's surface.
    pub gap_mm: f32,
}

/// A branch of a grown tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    /// Its end nearer to the root.
    pub from: Vec3,
    /// Its other end.
    pub to: Vec3,
    /// The branch it comes from; always an earlier one.
    pub parent: Option<usize>,
    /// Radius in mm.
    pub radius: f32,
}

/// Branches that are looked at as neighbours of a leaf.
const NEIGHBOURS: usize = 16;
/// Shortest branch in mm.
const SHORTEST_MM: f32 = 2.5;
/// Distance in mm between two points of a branch that are checked.
const CHECK_MM: f32 = 2.5;

struct Twig {
    from: Vec3,
    to: Vec3,
    parent: Option<usize>,
    territory: u8,
    leaves: u32,
    /// Trunks stay where they are.
    fixed: bool,
    /// Least distance in mm from its axis to the organ's surface.
    clear: f32,
}

/// Relative volume per mm of a branch that feeds `leaves`: the square of its radius.
fn weight(leaves: u32) -> f32 {
    (leaves as f32).powf(2.0 / 3.0)
}

struct Tree<'a> {
    growth: &'a Growth<'a>,
    twigs: Vec<Twig>,
}

/// Grows a tree; parents come before their children.
pub(super) fn grow(growth: &Growth<'_>, draw: &mut Stream) -> Vec<Branch> {
    let mut tree = Tree { growth, twigs: Vec::new() };
    for joint in growth.trunk.iter().skip(1) {
        let from = growth.trunk[joint.parent].at;
        let parent = joint.parent.checked_sub(1);
        let territory = joint.territory;
        tree.twigs.push(Twig { from, to: joint.at, parent, territory, leaves: 0, fixed: true, clear: f32::INFINITY });
    }
    for end in 0..tree.twigs.len() {
        if tree.twigs.iter().all(|t| t.parent != Some(end)) {
            tree.upstream(end).into_iter().for_each(|i| tree.twigs[i].leaves += 1);
        }
    }
    for leaf in leaves(growth.organ, growth.leaves, growth.margin_mm, 40.0, 6, draw) {
        tree.join(leaf);
    }
    tree.branches()
}

impl Tree<'_> {
    /// A branch and all before it.
    fn upstream(&self, twig: usize) -> Vec<usize> {
        std::iter::successors(Some(twig), |&i| self.twigs[i].parent).collect()
    }

    fn radius(&self, leaves: u32) -> f32 {
        self.growth.leaf_radius_mm * (leaves as f32).cbrt()
    }

    /// Lets a leaf join where it adds least volume, if there is room.
    fn join(&mut self, leaf: Vec3) {
        let territory = (self.growth.territory)(leaf);
        let away = |t: &Twig| {
            let ab = t.to - t.from;
            let s = ((leaf - t.from).dot(ab) / ab.length_squared().max(1e-6)).clamp(0.0, 1.0);
            leaf.distance(t.from + ab * s)
        };
        let own = self.twigs.iter().enumerate().filter(|(_, t)| t.territory == territory);
        let mut near: Vec<(f32, usize)> = own.map(|(i, t)| (away(t), i)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        near.truncate(NEIGHBOURS);
        let joints = near.iter().filter_map(|&(_, i)| self.joint(i, leaf).map(|(cost, at)| (cost, i, at)));
        let mut joints: Vec<(f32, usize, Vec3)> = joints.collect();
        joints.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, i, at) in joints {
            let (from, to, leaves) = (self.twigs[i].from, self.twigs[i].to, self.twigs[i].leaves);
            let wide = |t: &Twig| t.clear < self.radius(t.leaves + 1) + self.growth.gap_mm;
            if self.upstream(i).into_iter().skip(1).any(|u| wide(&self.twigs[u])) {
                continue;
            }
            let fixed = self.twigs[i].fixed;
            let clear = |a: Vec3, b: Vec3, leaves: u32| {
                let clear = clearance(self.growth.organ, a, b);
                (clear >= self.radius(leaves) + self.growth.gap_mm).then_some(clear)
            };
            let Some(new) = clear(at, leaf, 1) else { continue };
            let moved = (!fixed).then(|| Some((clear(from, at, leaves + 1)?, clear(at, to, leaves)?)));
            let (before, after) = match moved {
                None => (f32::INFINITY, f32::INFINITY),
                Some(Some(both)) => both,
                Some(None) => continue,
            };
            self.upstream(i).into_iter().for_each(|u| self.twigs[u].leaves += 1);
            let below = self.twigs.len();
            self.twigs.iter_mut().filter(|t| t.parent == Some(i)).for_each(|t| t.parent = Some(below));
            self.twigs[i].to = at;
            self.twigs[i].clear = before;
            self.twigs.push(Twig { from: at, to, parent: Some(i), territory, leaves, fixed, clear: after });
            self.twigs.push(Twig {
                from: at,
                to: leaf,
                parent: Some(i),
                territory,
                leaves: 1,
                fixed: false,
                clear: new,
            });
            return;
        }
    }

    /// The best joint of a leaf with a branch, and the volume it adds.
    fn joint(&self, twig: usize, leaf: Vec3) -> Option<(f32, Vec3)> {
        let Twig { from, to, leaves, fixed, .. } = self.twigs[twig];
        let (before, after) = (weight(leaves + 1), weight(leaves));
        let volume = |at: Vec3| before * from.distance(at) + after * at.distance(to) + at.distance(leaf);
        let along = (1..=9).map(|s| from.lerp(to, s as f32 / 10.0));
        // Weiszfeld's iteration towards the weighted Fermat point.
        let mut best = (from + to + leaf) / 3.0;
        for _ in 0..12 {
            let pull = [(from, before), (to, after), (leaf, 1.0)].map(|(p, w)| (p, w / best.distance(p).max(1e-3)));
            best = pull.iter().map(|&(p, w)| p * w).sum::<Vec3>() / pull.iter().map(|p| p.1).sum::<f32>();
        }
        let apart = |at: &Vec3| [from, to, leaf].iter().all(|p| p.distance(*at) >= SHORTEST_MM);
        let joints = along.chain((!fixed).then_some(best)).filter(apart);
        let at = joints.min_by(|a, b| volume(*a).total_cmp(&volume(*b)))?;
        let more = |&i: &usize| {
            let t = &self.twigs[i];
            (weight(t.leaves + 1) - weight(t.leaves)) * t.from.distance(t.to)
        };
        let upstream: f32 = self.upstream(twig).iter().skip(1).map(more).sum();
        Some((volume(at) - after * from.distance(to) + upstream, at))
    }

    /// Parents before children, each branch bent to leave its parent smoothly where there is room.
    fn branches(&self) -> Vec<Branch> {
        let mut out: Vec<Branch> = Vec::new();
        let mut last = vec![None; self.twigs.len()];
        let mut stack: Vec<usize> = (0..self.twigs.len()).filter(|&i| self.twigs[i].parent.is_none()).rev().collect();
        while let Some(i) = stack.pop() {
            let t = &self.twigs[i];
            let radius = self.radius(t.leaves);
            let mut parent: Option<usize> = t.parent.and_then(|p| last[p]);
            let way = match parent.map(|p| (out[p].to - out[p].from).normalize_or_zero()) {
                Some(before) if !t.fixed => self.bent(t, before, radius),
                _ => vec![t.to],
            };
            let mut from = t.from;
            for to in way {
                out.push(Branch { from, to, parent, radius });
                parent = Some(out.len() - 1);
                from = to;
            }
            last[i] = parent;
            stack.extend((0..self.twigs.len()).rev().filter(|&k| self.twigs[k].parent == Some(i)));
        }
        out
    }

    /// Points after the start of a branch that leaves along the mean of its parent's direction and its own.
    fn bent(&self, t: &Twig, before: Vec3, radius: f32) -> Vec<Vec3> {
        let own = t.to - t.from;
        let start = (before + own.normalize_or_zero()).normalize_or_zero() * own.length();
        let at = |s: f32| {
            let (h10, h01, h11) = (s * (1.0 - s) * (1.0 - s), s * s * (3.0 - 2.0 * s), s * s * (s - 1.0));
            t.from + start * h10 + own * h01 + own * h11
        };
        let count = (own.length() / 6.0).ceil().clamp(1.0, 5.0) as usize;
        let way: Vec<Vec3> = (1..count).map(|s| at(s as f32 / count as f32)).chain([t.to]).collect();
        let ends = std::iter::once(t.from).chain(way.iter().copied());
        let free = ends.zip(&way).all(|(a, &b)| clearance(self.growth.organ, a, b) >= radius + self.growth.gap_mm);
        if free { way } else { vec![t.to] }
    }
}

/// Least depth in mm below the organ's surface along a line.
fn clearance(organ: &Form, a: Vec3, b: Vec3) -> f32 {
    let middle = (a + b) * 0.5;
    let near = Shape::narrow(organ, middle, a.distance(b) * 0.5 + 0.1, organ.distance(middle));
    let steps = (a.distance(b) / CHECK_MM).ceil().max(1.0) as usize;
    (0..=steps).map(|s| -near.distance(a.lerp(b, s as f32 / steps as f32))).fold(f32::INFINITY, f32::min)
}

/// Up to `count` points spread through a solid, `margin_mm` below its surface: first those `apart_mm` from each other, then closer ones.
fn leaves(
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
    use crate::sdf::{ball, without};
    use glam::vec3;

    #[test]
    fn a_tree_fills_its_organ_obeys_murray_and_keeps_its_distance() {
        let organ = without(ball(Vec3::ZERO, 40.0), vec![ball(vec3(10.0, 0.0, 0.0), 12.0)], 0.0);
        let joint = |x: f32, parent: usize| Joint { at: vec3(x, 0.0, 0.0), parent, territory: 1 };
        let growth = Growth {
            organ: &organ,
            trunk: &[joint(-30.0, 0), joint(-24.0, 0), joint(-14.0, 1)],
            territory: &|_| 1,
            leaves: 60,
            leaf_radius_mm: 1.0,
            margin_mm: 4.0,
            gap_mm: 1.0,
        };
        let branches = grow(&growth, &mut Stream::new(1, "t"));
        let children = |i: usize| branches.iter().filter(move |b| b.parent == Some(i));
        let ends = (0..branches.len()).filter(|&i| children(i).count() == 0).count();
        assert!(ends > 50, "only {ends} leaves found a joint");
        assert!((branches[0].radius - (ends as f32).cbrt()).abs() < 1e-3, "root of radius {}", branches[0].radius);
        for (i, branch) in branches.iter().enumerate() {
            let cubes: f32 = children(i).map(|c| c.radius.powi(3)).sum();
            assert!(
                cubes == 0.0 || (cubes / branch.radius.powi(3) - 1.0).abs() < 1e-3,
                "branch {i} breaks Murray's law"
            );
            assert!(children(i).all(|c| c.from == branch.to), "a child of branch {i} hangs in the air");
            let depth = clearance(&organ, branch.from, branch.to) - branch.radius;
            assert!(depth > 0.9, "branch {i} comes within {depth} mm of the surface");
        }
    }
}
