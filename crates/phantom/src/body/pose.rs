//! Breath, heartbeat and the spine's curve: where a point of the body as it is scanned lies in the body as it is drawn.
//!
//! Shapes are drawn at the end of a quiet breath out, in end-diastole and with a straight spine. Whatever is painted asks them
//! at [`Pose::drawn_at`], so organs move together, labels and HU alike, and none overlaps another.
//!
//! Sources: excursion of the diaphragm in quiet breathing 18 mm in men, 16 mm in women (Boussuges et al., Chest 2009; 135: 391);
//! ejection fraction of the left ventricle about 0.6 (Kawel-Boehm et al., J Cardiovasc Magn Reson 2020; 22: 87).

use std::f32::consts::{FRAC_PI_2, PI};
use std::sync::Arc;

use glam::{Vec3, vec3};
use rayon::prelude::*;
use serde::Serialize;

use super::Spine;
use super::heart::{AXIS, LEFT_CENTER, LEFT_RADII, VALVE_MM};
use super::thorax::Cavities;
use crate::options::{Person, Sex};
use crate::sdf::{Form, Node, Shape, Tube};
use crate::spline::interpolate;
use crate::tissue::smooth_step;

/// When in breath and heartbeat the body is caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Motion {
    /// 0 at the end of a quiet breath out, 1 at the end of a quiet breath in.
    pub breath: f32,
    /// Part of the heart's cycle that has passed since end-diastole, 0–1; it is smallest at 0.35–0.45.
    pub beat: f32,
}

/// Height of the diaphragm's domes and of their neighbours, all moved alike, and of what stays: mm.
const DOMES: [f32; 2] = [190.0, 345.0];
const STILL: [f32; 2] = [-100.0, 455.0];
/// Distance in mm from the walls of the cavities within which their content is held back.
const SLIDE_MM: f32 = 24.0;
/// How far belly, chest and flanks come out in a quiet breath, in mm.
const BELLY_MM: f32 = 8.0;
const CHEST_MM: f32 = 4.0;
const FLANK_MM: f32 = 2.0;

/// What the left ventricle's width and the distance from valve to apex lose by end-systole: 62 % of the volume.
const NARROWER: f32 = 0.333;
const SHORTER_MM: f32 = 13.0;
/// How far the free wall of the right ventricle comes in, and the direction it lies in.
const RIGHT_WALL_MM: f32 = 17.0;
const TO_RIGHT: Vec3 = vec3(-0.79, -0.57, -0.21);

/// Middle and half length in mm of the curved part of a scoliotic spine: T4–T5 and T12–L1 tilt most.
const CURVE: [f32; 2] = [300.0, 170.0];
/// Turn of the apical vertebra, as a part of the Cobb angle.
const TURN: f32 = 0.15;

/// Breadth of a woman's skeleton over that of a man of her stature, by height: the biacromial breadth is 0.96, the bi-iliac 1.05
/// (Pheasant and Haslegrave, Bodyspace, 3rd ed. 2006; Tague, Am J Phys Anthropol 1992; 88: 1; rounded).
const FEMALE_BREADTH: [(f32, f32); 5] = [(-110.0, 1.04), (10.0, 1.05), (140.0, 1.0), (300.0, 0.98), (420.0, 0.96)];

/// A map from the body as it is scanned to the body as it is drawn, both in the frame of the shapes.
#[derive(Clone, Debug)]
pub struct Pose {
    female: bool,
    /// Lateral shift of the apex in mm, positive if the curve is convex to the right, and its turn in radians.
    curve: Option<[f32; 2]>,
    breath: Option<Breath>,
    beat: Option<Beat>,
}

#[derive(Clone, Debug)]
struct Breath {
    /// How far the domes of the diaphragm have come down, in mm.
    down_mm: f32,
    /// Share of a quiet breath that the walls have done.
    share: f32,
    /// How freely the content of the cavities moves, 0–1.
    free: Lattice,
}

/// Values on a lattice, linear between.
#[derive(Clone, Debug)]
struct Lattice {
    values: Vec<f32>,
    size: [usize; 3],
}

impl Lattice {
    const STEP_MM: f32 = 6.0;
    /// What holds the cavities of the trunk.
    const BOX: [Vec3; 2] = [vec3(-168.0, -120.0, -168.0), vec3(168.0, 132.0, 498.0)];

    fn of(value: impl Fn(Vec3) -> f32 + Sync) -> Self {
        let [low, high] = Self::BOX;
        let size = ((high - low) / Self::STEP_MM).to_array().map(|n| n as usize + 1);
        let at = |n: usize| vec3((n % size[0]) as f32, (n / size[0] % size[1]) as f32, (n / size[0] / size[1]) as f32);
        let count = size[0] * size[1] * size[2];
        let values = (0..count).into_par_iter().map(|n| value(low + at(n) * Self::STEP_MM)).collect();
        Self { values, size }
    }

    /// 0 outside.
    fn at(&self, p: Vec3) -> f32 {
        let q = (p - Self::BOX[0]) / Self::STEP_MM;
        let [x, y, z] = self.size;
        let most = vec3(x as f32 - 1.001, y as f32 - 1.001, z as f32 - 1.001);
        if q.cmplt(Vec3::ZERO).any() || q.cmpgt(most).any() {
            return 0.0;
        }
        let (cell, t) = (q.floor(), q - q.floor());
        let first = cell.x as usize + x * (cell.y as usize + y * cell.z as usize);
        let row = |n: usize| self.values[n] + (self.values[n + 1] - self.values[n]) * t.x;
        let plane = |n: usize| row(n) + (row(n + x) - row(n)) * t.y;
        plane(first) + (plane(first + x * y) - plane(first)) * t.z
    }
}

#[derive(Clone, Debug)]
struct Beat {
    /// 0 in end-diastole, 1 in end-systole.
    systole: f32,
    scale: f32,
    shift: Vec3,
}

impl Pose {
    /// The pose of a person; `cobb_degrees` is the angle of a thoracic scoliosis, 0 for none.
    pub fn new(person: &Person, motion: Motion, cobb_degrees: f32) -> Self {
        let female = person.physique().sex == Sex::Female;
        // (1 + cos πt) / 2 is steepest half way, where the two end vertebrae tilt by half the angle each.
        let steepest = (cobb_degrees.to_radians() / 2.0).tan();
        let shift_mm = steepest * 2.0 * CURVE[1] / PI;
        let curve = (cobb_degrees != 0.0).then_some([shift_mm, TURN * cobb_degrees.to_radians()]);
        let breath = (motion.breath != 0.0).then(|| {
            let spine = Spine::new();
            let excursion_mm = if female { 16.0 } else { 18.0 };
            let (trunk, column) = (Cavities::reference().trunk.clone(), column(&spine));
            let free = |p: Vec3| smooth_step((-trunk.distance(p)).min(column.distance(p) - 2.0) / SLIDE_MM);
            let down_mm = excursion_mm / person.stature() * motion.breath;
            Breath { down_mm, share: motion.breath, free: Lattice::of(free) }
        });
        let systole = systole(motion.beat);
        let (scale, shift) = person.organ("heart", 1.0);
        let beat = (systole > 0.0).then_some(Beat { systole, scale, shift });
        Self { female, curve, breath, beat }
    }

    /// Where a point of the scanned body lies in the drawn one.
    pub fn drawn_at(&self, p: Vec3) -> Vec3 {
        let mut p = p;
        if let Some([shift_mm, turn]) = self.curve {
            let bend = bend(p.z);
            let axis_y = 44.0;
            let (x, y) = (p.x + shift_mm * bend, p.y - axis_y);
            // Arms hang free.
            let turn = turn * bend * (1.0 - smooth_step((x.hypot(y) - 130.0) / 110.0));
            let (sin, cos) = turn.sin_cos();
            p = vec3(cos * x - sin * y, sin * x + cos * y + axis_y, p.z);
        }
        if self.female {
            p.x /= interpolate(&FEMALE_BREADTH, p.z);
        }
        if let Some(breath) = &self.breath {
            p = breath.drawn_at(p);
        }
        if let Some(beat) = &self.beat {
            p = beat.drawn_at(p);
        }
        p
    }

    /// How much farther forward the body reaches than that of a man at rest, in mm: by breath, turned ribs and breasts.
    pub(crate) fn forward_mm(&self) -> f32 {
        let out = self.breath.as_ref().map_or(0.0, |b| b.share * BELLY_MM);
        let turned = self.curve.map_or(0.0, |[_, turn]| turn * 130.0);
        out + turned + if self.female { 6.0 } else { 0.0 }
    }

    /// A ball of the drawn body that holds a block of the scanned one, given by its middle, half edges and radius.
    pub(crate) fn ball(&self, middle: Vec3, half: Vec3, radius: f32) -> (Vec3, f32) {
        /// A pose bends little between a block's corners.
        const MARGIN: f32 = 1.2;
        const MARGIN_MM: f32 = 0.5;
        if self.curve.is_none() && self.breath.is_none() && self.beat.is_none() {
            return (self.drawn_at(middle), if self.female { 1.05 * radius } else { radius });
        }
        let center = self.drawn_at(middle);
        let corners =
            (0..8).map(|n| Vec3::from_array([0, 1, 2].map(|a| if n >> a & 1 == 1 { half[a] } else { -half[a] })));
        let farthest = corners.map(|c| self.drawn_at(middle + c).distance(center)).fold(0.0, f32::max);
        (center, farthest.max(radius) * MARGIN + MARGIN_MM)
    }
}

/// How far along its swing the curved spine is at a height: 1 at the apex.
fn bend(z: f32) -> f32 {
    let t = ((z - CURVE[0]) / CURVE[1]).clamp(-1.0, 1.0);
    0.5 * (1.0 + (PI * t).cos())
}

/// The vertebral column, which the organs before it pass without moving it.
fn column(spine: &Spine) -> Form {
    let nodes: Vec<Node> = spine
        .levels
        .iter()
        .map(|l| Node {
            at: l.mid(12.0, 0.0),
            normal: Vec3::Y,
            along: l.depth / 2.0 + 14.0,
            across: l.width / 2.0 + 2.0,
        })
        .collect();
    Arc::new(Shape::Tube(Tube::oval(&nodes)))
}

/// Contraction over a heart's cycle: systole takes 35 %, filling begins at 45 % and is done at 80 %.
fn systole(beat: f32) -> f32 {
    let t = beat.rem_euclid(1.0);
    let swing = |t: f32| (FRAC_PI_2 * t).sin().powi(2);
    match t {
        t if t < 0.35 => swing(t / 0.35),
        t if t < 0.45 => 1.0,
        t if t < 0.8 => 1.0 - swing((t - 0.45) / 0.35),
        _ => 0.0,
    }
}

impl Breath {
    fn drawn_at(&self, p: Vec3) -> Vec3 {
        let rising = |z: f32, low: f32, high: f32| smooth_step((z - low) / (high - low));
        let height = rising(p.z, STILL[0], DOMES[0]).min(1.0 - rising(p.z, DOMES[1], STILL[1]));
        let wall = BELLY_MM + (CHEST_MM - BELLY_MM) * rising(p.z, 170.0, 260.0);
        let wall = wall * rising(p.z, -80.0, 20.0) * (1.0 - rising(p.z, 390.0, 465.0));
        let out = self.share * wall * smooth_step((5.0 - p.y) / 95.0);
        let side = self.share * FLANK_MM * (wall / BELLY_MM) * smooth_step((p.x.abs() - 40.0) / 80.0);
        p + vec3(-side * p.x.signum(), out, self.down_mm * height * self.free.at(p))
    }
}

impl Beat {
    /// The left ventricle narrows and its wall keeps its cross-section; the valves' plane comes towards the apex, which stays;
    /// the right ventricle's free wall comes in. Round the heart the motion fades.
    fn drawn_at(&self, p: Vec3) -> Vec3 {
        let q = (p - self.shift - LEFT_CENTER) / self.scale;
        if q.length_squared() > 150.0 * 150.0 {
            return p;
        }
        let fade = |x: f32, from: f32, to: f32| 1.0 - smooth_step((x - from) / (to - from));
        let (apex, valve) = (LEFT_RADII.y, -VALVE_MM + SHORTER_MM * self.systole);
        let along = AXIS * q.dot(AXIS);
        let (a, across) = (q.dot(AXIS), q - along);
        let r = across.length();
        let lifted = if a > valve { ((apex - a) / (apex - valve)).clamp(0.0, 1.0) } else { fade(valve - a, 0.0, 75.0) };
        let a = a - SHORTER_MM * self.systole * lifted * fade(r, 65.0, 100.0);
        let within = fade(-VALVE_MM - a, 0.0, 24.0) * fade(a, apex - 8.0, apex + 8.0);
        // Square of the cavity's radius at this height; what the ventricle has kept of its length and width.
        let cavity = LEFT_RADII.x.powi(2) * (1.0 - (a / apex).powi(2)).max(0.0) * within;
        let length = 1.0 - (1.0 - (apex - valve) / (apex + VALVE_MM)) * within;
        let width = 1.0 - NARROWER * self.systole;
        let mut from = if r * r < cavity * width * width {
            r / width
        } else {
            // A wall of the same volume, shorter and thicker.
            let wall = cavity * (1.0 - length * width * width) - (1.0 - length) * r * r;
            (r * r + wall * fade(r, 34.0, 76.0)).max(0.0).sqrt()
        };
        let right = across.normalize_or_zero().dot(TO_RIGHT).max(0.0).powi(2);
        let high = fade(-a, 8.0, 33.0) * fade(a, 30.0, 60.0);
        from += RIGHT_WALL_MM * self.systole * right * high * smooth_step((r - 30.0) / 32.0) * fade(r, 62.0, 105.0);
        let drawn = AXIS * a + across.normalize_or_zero() * from;
        drawn * self.scale + self.shift + LEFT_CENTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PhantomOptions;

    fn person() -> Person {
        Person::new(&PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() })
    }

    fn poses() -> [Pose; 3] {
        let of = |breath, beat, cobb| Pose::new(&person(), Motion { breath, beat }, cobb);
        [of(1.0, 0.0, 0.0), of(0.0, 0.4, 0.0), of(0.0, 0.0, 45.0)]
    }

    /// Points of the trunk on a lattice.
    fn points() -> impl Iterator<Item = Vec3> {
        let steps = |low: i32, high: i32| (low..=high).map(|n| n as f32 * 9.0);
        steps(-18, 18).flat_map(move |x| steps(-12, 13).flat_map(move |y| steps(-20, 52).map(move |z| vec3(x, y, z))))
    }

    #[test]
    fn a_pose_folds_nothing() {
        for pose in poses() {
            for p in points() {
                let step = 0.25;
                let columns =
                    Vec3::AXES.map(|a| (pose.drawn_at(p + a * step) - pose.drawn_at(p - a * step)) / (2.0 * step));
                let jacobian = glam::Mat3::from_cols(columns[0], columns[1], columns[2]);
                assert!(jacobian.determinant() > 0.05, "folded at {p}: {jacobian}");
            }
        }
    }

    #[test]
    fn a_ball_holds_its_block() {
        let half = vec3(10.0, 10.0, 15.0);
        for pose in poses() {
            for middle in points().step_by(3) {
                let (center, radius) = pose.ball(middle, half, half.length());
                for n in 0..125 {
                    let at = vec3((n % 5) as f32, (n / 5 % 5) as f32, (n / 25) as f32) / 2.0 - 1.0;
                    let off = pose.drawn_at(middle + at * half).distance(center) - radius;
                    assert!(off < 0.0, "{off} mm outside at {middle}");
                }
            }
        }
    }

    #[test]
    fn the_apex_stays_and_the_spine_does_not_breathe() {
        let [breathing, beating, _] = poses();
        for level in Spine::new().levels {
            assert!(breathing.drawn_at(level.center).distance(level.center) < 0.2, "{} moves", level.name);
        }
        let apex = LEFT_CENTER + AXIS * LEFT_RADII.y;
        assert!(beating.drawn_at(apex).distance(apex) < 0.5);
        assert_eq!(beating.drawn_at(Vec3::ZERO), Vec3::ZERO);
        assert_eq!((systole(0.0), systole(0.4), systole(0.9)), (0.0, 1.0, 0.0));
    }

    #[test]
    fn the_curve_has_the_angle_it_is_asked_for() {
        let [.., curved] = poses();
        // Steepest where the end vertebrae are.
        let tilt = |z: f32| {
            let x = |z: f32| -curved.drawn_at(vec3(0.0, 44.0, z)).x;
            ((x(z + 1.0) - x(z - 1.0)) / 2.0).atan().to_degrees()
        };
        let tilts: Vec<f32> = (0..50).map(|n| tilt(n as f32 * 10.0)).collect();
        let (least, most) = tilts.iter().fold((0.0f32, 0.0f32), |(l, m), t| (l.min(*t), m.max(*t)));
        assert!((most - least - 45.0).abs() < 0.5, "{least} to {most}");
    }
}
