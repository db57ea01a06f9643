//! Chains of segments: vessels, ribs, bowel.

use std::sync::Arc;

use glam::Vec3;

use super::{Bounds, SLACK, scaled_distance};

/// A point of a tube's axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Position.
    pub at: Vec3,
    /// Unit direction of the first radius; of no account for a round tube.
    pub normal: Vec3,
    /// Radius along `normal` in mm.
    pub along: f32,
    /// Radius across in mm.
    pub across: f32,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    a: Node,
    b: Node,
    ab: Vec3,
    inverse_length_squared: f32,
}

/// A tree or chain of segments, each round or oval, hard-joined at their round ends.
#[derive(Clone, Debug)]
pub struct Tube {
    segments: Arc<[Segment]>,
    /// What holds each [`GROUP`] segments; empty for an oval tube and for a short one.
    balls: Arc<[Ball]>,
    round: bool,
}

/// Segments that are passed over together.
const GROUP: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Ball {
    center: Vec3,
    radius: f32,
}

impl Ball {
    fn around(segments: &[Segment]) -> Self {
        let b = bounds(segments);
        let center = (b.min + b.max) * 0.5;
        let reach = |s: &Segment| s.a.at.distance(center).max(s.b.at.distance(center)) + s.reach();
        Self { center, radius: segments.iter().map(reach).fold(0.0, f32::max) }
    }
}

fn bounds(segments: &[Segment]) -> Bounds {
    Bounds::around(segments.iter().flat_map(|s| [(s.a.at, s.reach()), (s.b.at, s.reach())]))
}

/// Brings neighbours together: halves at the median along the longest edge of what is left.
fn sort(segments: &mut [Segment]) {
    if segments.len() <= GROUP {
        return;
    }
    let b = bounds(segments);
    let axis = (b.max - b.min).max_position();
    // Whole groups on the left.
    let half = segments.len().div_ceil(2).next_multiple_of(GROUP);
    let middle = |s: &Segment| s.a.at[axis] + s.b.at[axis];
    if half < segments.len() {
        segments.select_nth_unstable_by(half, |s, t| middle(s).total_cmp(&middle(t)));
        let (left, right) = segments.split_at_mut(half);
        sort(left);
        sort(right);
    }
}

impl Segment {
    fn new(a: Node, b: Node) -> Self {
        let ab = b.at - a.at;
        Self { a, b, ab, inverse_length_squared: 1.0 / ab.length_squared().max(1e-9) }
    }

    fn along(&self, p: Vec3) -> (f32, Vec3) {
        let ap = p - self.a.at;
        let t = (ap.dot(self.ab) * self.inverse_length_squared).clamp(0.0, 1.0);
        (t, ap - self.ab * t)
    }

    fn round_distance(&self, p: Vec3) -> f32 {
        let (t, away) = self.along(p);
        away.length() - (self.a.across + (self.b.across - self.a.across) * t)
    }

    fn oval_distance(&self, p: Vec3) -> f32 {
        let (t, away) = self.along(p);
        let normal = self.a.normal.lerp(self.b.normal, t);
        let along = self.a.along + (self.b.along - self.a.along) * t;
        let across = self.a.across + (self.b.across - self.a.across) * t;
        let n = away.dot(normal);
        // Beyond an end only; the cap is as thick as the oval is thin, so that bends stay smooth.
        let axial = away.dot(self.ab);
        let axial = axial * axial * self.inverse_length_squared;
        let rest = (away.length_squared() - n * n - axial).max(0.0);
        let thin = n * n + axial;
        let (a, b) = (1.0 / (along * along), 1.0 / (across * across));
        let k0 = (thin * a + rest * b).sqrt();
        let k1 = (thin * a * a + rest * b * b).sqrt();
        scaled_distance(k0, k1, along.min(across))
    }

    fn reach(&self) -> f32 {
        [self.a.along, self.a.across, self.b.along, self.b.across].into_iter().fold(0.0, f32::max)
    }
}

impl Tube {
    fn new(mut segments: Vec<Segment>, round: bool) -> Self {
        if round {
            sort(&mut segments);
        }
        Self::of(segments, round)
    }

    /// As [`Self::new`], of segments whose neighbours stand together.
    fn of(segments: Vec<Segment>, round: bool) -> Self {
        let grouped = round && segments.len() > 2 * GROUP;
        let balls = if grouped { segments.chunks(GROUP).map(Ball::around).collect() } else { Arc::default() };
        Self { segments: segments.into(), balls, round }
    }

    /// A round tube through points with a radius each.
    pub fn round(points: &[(Vec3, f32)]) -> Self {
        let node = |&(at, r): &(Vec3, f32)| Node { at, normal: Vec3::Z, along: r, across: r };
        Self::new(points.windows(2).map(|w| Segment::new(node(&w[0]), node(&w[1]))).collect(), true)
    }

    /// A tube of oval cross-section.
    pub fn oval(nodes: &[Node]) -> Self {
        Self::new(nodes.windows(2).map(|w| Segment::new(w[0], w[1])).collect(), false)
    }

    /// A round tree: each branch is a pair of points with a radius each.
    pub fn tree(branches: &[[(Vec3, f32); 2]]) -> Self {
        let node = |(at, r): (Vec3, f32)| Node { at, normal: Vec3::Z, along: r, across: r };
        Self::new(branches.iter().map(|&[a, b]| Segment::new(node(a), node(b))).collect(), true)
    }

    /// Signed distance in mm.
    pub fn distance(&self, p: Vec3) -> f32 {
        let round = |d: f32, s: &Segment| s.round_distance(p).min(d);
        match (self.round, self.balls.is_empty()) {
            (false, _) => self.segments.iter().fold(1e6, |d, s| s.oval_distance(p).min(d)),
            (true, true) => self.segments.iter().fold(1e6, round),
            (true, false) => self.balls.iter().zip(self.segments.chunks(GROUP)).fold(1e6, |d: f32, (ball, group)| {
                // Nothing in the ball is nearer than d.
                if p.distance_squared(ball.center) >= (d + ball.radius).max(0.0).powi(2) {
                    d
                } else {
                    group.iter().fold(d, round)
                }
            }),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        bounds(&self.segments)
    }

    /// Only the segments that can be nearest within `reach` of `center`, at `distance` mm from the tube; none if that is all of them.
    pub(super) fn narrow(&self, center: Vec3, reach: f32, distance: f32) -> Option<Self> {
        if self.segments.len() < 2 {
            return None;
        }
        // An oval's distance shrinks outside, so the true distance to its widest round hull decides.
        let bound = |s: &Segment| s.along(center).1.length() - s.reach();
        let least = distance.max(0.0) * SLACK;
        let near = |s: &&Segment| bound(s) <= least + 2.0 * reach;
        let kept = self.segments.iter().filter(near).count();
        (kept < self.segments.len() && kept > 0)
            .then(|| Self::of(self.segments.iter().filter(near).copied().collect(), self.round))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::vec3;

    #[test]
    fn an_oval_is_wide_across_and_flat_along_its_normal() {
        let node = |z| Node { at: vec3(0.0, 0.0, z), normal: Vec3::Y, along: 3.0, across: 8.0 };
        let tube = Tube::oval(&[node(0.0), node(50.0)]);
        assert!(tube.distance(vec3(8.0, 0.0, 25.0)).abs() < 1e-3);
        assert!(tube.distance(vec3(0.0, 3.0, 25.0)).abs() < 1e-3);
    }

    #[test]
    fn groups_change_nothing() {
        let branch = |n: usize| {
            let at = |n: usize| vec3((n * 37 % 101) as f32, (n * 53 % 89) as f32, (n * 71 % 97) as f32);
            [(at(n), 1.0 + (n % 5) as f32), (at(n) + vec3(4.0, -3.0, 6.0), 1.0)]
        };
        let branches: Vec<_> = (0..203).map(branch).collect();
        let tube = Tube::tree(&branches);
        for n in 0..500 {
            let p = vec3((n * 29 % 120) as f32 - 10.0, (n * 31 % 110) as f32 - 10.0, (n * 43 % 120) as f32 - 10.0);
            let alone = tube.segments.iter().map(|s| s.round_distance(p)).fold(1e6, f32::min);
            assert_eq!(tube.distance(p), alone);
        }
        assert_eq!(tube.balls.len(), 203usize.div_ceil(GROUP));
    }

    #[test]
    fn far_segments_are_dropped() {
        let points: Vec<_> = (0..50).map(|i| (vec3(i as f32 * 5.0, 0.0, 0.0), 4.0)).collect();
        let tube = Tube::round(&points);
        let center = vec3(100.0, 3.0, 0.0);
        let narrow = tube.narrow(center, 6.0, tube.distance(center)).unwrap();
        assert!(narrow.segments.len() < 12);
        assert_eq!(narrow.distance(vec3(103.0, 6.0, 1.0)), tube.distance(vec3(103.0, 6.0, 1.0)));
    }
}
