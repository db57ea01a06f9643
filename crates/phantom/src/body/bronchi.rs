//! The windpipe and its branches.
//!
//! Trachea, main, lobar and segmental bronchi have given courses; from each segmental bronchus the tree is grown into its
//! own segment by halving the points of the segment and going two fifths of the way to the middle of each half (Tawhai
//! et al., J Appl Physiol 2004; 97: 2310). Diameters of the lumen start at 5–6 mm in the segmental bronchi, as Weibel
//! (Morphometry of the Human Lung, 1963, model A) and Montaudon et al. (J Anat 2007; 211: 579) found, and shrink with the cube
//! root of a daughter's share, 0.79 for equal daughters, which is Weibel's ratio. The wall is a sixth of the outer diameter
//! of small bronchi (Niimi et al., Am J Respir Crit Care Med 2000; 162: 1518) and at most 1.7 mm.

use glam::{Vec3, vec3};

use super::thorax::Cavities;
use super::{Model, Side, vessels};
use crate::noise::Stream;
use crate::options::Person;
use crate::sdf::{Form, Shape, Tube, ball, union, without};
use crate::spline::curve;
use crate::tissue::Tissue;

/// Where the windpipe forks.
const CARINA: Vec3 = vec3(0.0, 5.0, 384.0);

/// Airways whose lumen is thinner show in the scan only, in mm; their walls may fall between the voxels of a coarse grid.
const LABELLED_RADIUS_MM: f32 = 1.05;
/// The tree ends where its lumen would be thinner, in mm.
const LEAST_RADIUS_MM: f32 = 0.5;
/// Airways stay this deep below the surface of their lobe, in mm.
const MARGIN_MM: f32 = 3.0;
/// Radius of the balls at the roots of the veins that count as surface, in mm.
const VEIN_ROOM_MM: f32 = 3.0;
/// Distance of the points that stand for the lung in mm.
const POINTS_MM: f32 = 9.0;

/// A lobe of a lung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lobe {
    Upper,
    /// On the right only.
    Middle,
    Lower,
}

impl Lobe {
    pub(super) const fn all(side: Side) -> &'static [Self] {
        match side {
            Side::Left => &[Self::Upper, Self::Lower],
            Side::Right => &[Self::Upper, Self::Middle, Self::Lower],
        }
    }
}

/// A bronchus with a given course.
struct Bronchus {
    /// Forks passed since the trachea, which is generation 0.
    generation: u32,
    /// Its lobe and the middle of its segment, if it is a segmental bronchus.
    segment: Option<(Lobe, Vec3)>,
    /// Its course with the radius of its lumen in mm.
    course: Vec<(Vec3, f32)>,
}

/// A straight piece of an airway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The piece it continues or branches from; none for what has a given course.
    pub parent: Option<usize>,
    /// Forks passed since the trachea.
    pub generation: u32,
    /// The lobe it supplies; none above the segments.
    pub lobe: Option<Lobe>,
    /// Its ends with the radius of the lumen in mm.
    pub ends: [(Vec3, f32); 2],
    /// Normal of the plane in which it forks at its end; zero where it does not.
    pub fork_normal: Vec3,
}

/// Outer radius in mm of an airway with a lumen of radius `lumen` mm.
pub(super) fn outer_radius(lumen: f32) -> f32 {
    lumen + (0.5 * lumen).min(0.38 + 0.16 * lumen).min(1.7)
}

const fn at(x: f32, y: f32, z: f32, radius: f32) -> (Vec3, f32) {
    (vec3(x, y, z), radius)
}

fn given(side: Side) -> Vec<Bronchus> {
    use Lobe::{Lower, Middle, Upper};
    let inner = |generation, course: &[(Vec3, f32)]| Bronchus { generation, segment: None, course: course.to_vec() };
    let segmental = |generation, lobe, middle: [f32; 3], course: &[(Vec3, f32)]| Bronchus {
        generation,
        segment: Some((lobe, Vec3::from_array(middle))),
        course: course.to_vec(),
    };
    match side {
        Side::Right => vec![
            // Right main, upper lobar, intermediate, middle lobar, lower lobar, basal trunk.
            inner(1, &[(CARINA, 7.3), at(-17.0, 6.0, 371.0, 7.2), at(-34.0, 8.0, 356.0, 6.7)]),
            inner(2, &[at(-26.0, 7.0, 364.0, 4.8), at(-44.0, 4.0, 370.0, 4.3)]),
            inner(2, &[at(-34.0, 8.0, 356.0, 5.8), at(-39.0, 10.0, 340.0, 5.2)]),
            inner(3, &[at(-39.0, 9.0, 341.0, 3.8), at(-57.0, 0.0, 332.0, 3.5)]),
            inner(3, &[at(-39.0, 10.0, 340.0, 4.9), at(-46.0, 15.0, 322.0, 4.3)]),
            inner(4, &[at(-46.0, 15.0, 322.0, 3.8), at(-51.0, 18.0, 310.0, 3.5)]),
            // B1 apical, B2 posterior, B3 anterior.
            segmental(3, Upper, [-60.0, 5.0, 425.0], &[at(-44.0, 4.0, 370.0, 2.9), at(-53.0, 3.0, 384.0, 2.7)]),
            segmental(3, Upper, [-85.0, 45.0, 395.0], &[at(-44.0, 4.0, 370.0, 2.9), at(-58.0, 16.0, 377.0, 2.7)]),
            segmental(3, Upper, [-80.0, -45.0, 370.0], &[at(-44.0, 4.0, 370.0, 2.9), at(-60.0, -12.0, 369.0, 2.7)]),
            // B4 lateral, B5 medial.
            segmental(4, Middle, [-105.0, -35.0, 322.0], &[at(-57.0, 0.0, 332.0, 2.7), at(-74.0, -11.0, 326.0, 2.5)]),
            segmental(4, Middle, [-70.0, -70.0, 312.0], &[at(-57.0, 0.0, 332.0, 2.7), at(-68.0, -19.0, 322.0, 2.5)]),
            // B6 superior, B7 medial, B8 anterior, B9 lateral and B10 posterior basal.
            segmental(4, Lower, [-75.0, 62.0, 352.0], &[at(-40.0, 11.0, 337.0, 2.9), at(-52.0, 30.0, 342.0, 2.6)]),
            segmental(5, Lower, [-45.0, 22.0, 285.0], &[at(-49.0, 17.0, 314.0, 2.4), at(-46.0, 14.0, 302.0, 2.2)]),
            segmental(5, Lower, [-100.0, -12.0, 290.0], &[at(-51.0, 18.0, 310.0, 2.7), at(-67.0, 7.0, 300.0, 2.5)]),
            segmental(5, Lower, [-108.0, 32.0, 275.0], &[at(-51.0, 18.0, 310.0, 2.7), at(-67.0, 23.0, 298.0, 2.5)]),
            segmental(5, Lower, [-70.0, 72.0, 270.0], &[at(-51.0, 18.0, 310.0, 2.7), at(-57.0, 35.0, 297.0, 2.5)]),
        ],
        Side::Left => vec![
            // Left main, upper lobar, upper division, lingular, lower lobar, basal trunk.
            inner(1, &[(CARINA, 6.6), at(20.0, 9.0, 372.0, 6.4), at(46.0, 13.0, 355.0, 6.0)]),
            inner(2, &[at(45.0, 13.0, 356.0, 4.7), at(56.0, 5.0, 364.0, 4.3)]),
            inner(3, &[at(56.0, 5.0, 364.0, 3.7), at(61.0, 3.0, 375.0, 3.4)]),
            inner(3, &[at(56.0, 5.0, 364.0, 3.3), at(78.0, -6.0, 355.0, 3.0)]),
            inner(2, &[at(46.0, 13.0, 355.0, 5.2), at(54.0, 20.0, 340.0, 4.6)]),
            inner(3, &[at(54.0, 20.0, 340.0, 4.0), at(60.0, 24.0, 322.0, 3.6)]),
            // B1+2 apicoposterior, B3 anterior, B4 and B5 superior and inferior lingular.
            segmental(4, Upper, [66.0, 22.0, 420.0], &[at(61.0, 3.0, 375.0, 2.9), at(65.0, 9.0, 391.0, 2.7)]),
            segmental(4, Upper, [75.0, -42.0, 388.0], &[at(61.0, 3.0, 375.0, 2.8), at(70.0, -13.0, 379.0, 2.6)]),
            segmental(4, Upper, [98.0, -40.0, 345.0], &[at(78.0, -6.0, 355.0, 2.5), at(91.0, -19.0, 349.0, 2.3)]),
            segmental(4, Upper, [95.0, -55.0, 315.0], &[at(78.0, -6.0, 355.0, 2.5), at(88.0, -8.0, 340.0, 2.3)]),
            // B6 superior, B7+8 anteromedial, B9 lateral and B10 posterior basal.
            segmental(3, Lower, [75.0, 65.0, 352.0], &[at(53.0, 19.0, 343.0, 2.9), at(61.0, 36.0, 347.0, 2.6)]),
            segmental(4, Lower, [92.0, -5.0, 285.0], &[at(60.0, 24.0, 322.0, 2.8), at(75.0, 13.0, 309.0, 2.5)]),
            segmental(4, Lower, [104.0, 32.0, 272.0], &[at(60.0, 24.0, 322.0, 2.7), at(76.0, 29.0, 307.0, 2.5)]),
            segmental(4, Lower, [68.0, 72.0, 262.0], &[at(60.0, 24.0, 322.0, 2.7), at(66.0, 42.0, 308.0, 2.5)]),
        ],
    }
}

/// The bronchi of one side: those with a given course, then what grows from the segmental ones.
pub(super) fn tree(side: Side, cavities: &Cavities, draw: &mut Stream) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let given = given(side);
    let mut tips = Vec::new();
    for bronchus in &given {
        let lobe = bronchus.segment.map(|(lobe, _)| lobe);
        let generation = bronchus.generation;
        for w in curve(&bronchus.course, 5.0).windows(2) {
            pieces.push(Piece { parent: None, generation, lobe, ends: [w[0], w[1]], fork_normal: Vec3::ZERO });
        }
        if let Some((lobe, middle)) = bronchus.segment {
            tips.push((lobe, middle, pieces.len() - 1));
        }
    }
    for &lobe in Lobe::all(side) {
        let roots = vessels::venous_roots(side).map(|root| ball(root, VEIN_ROOM_MM)).to_vec();
        let form = without(cavities.lobe(side, lobe), roots, 0.0);
        let tips: Vec<_> = tips.iter().filter(|(l, ..)| *l == lobe).collect();
        let mut shares = vec![Vec::new(); tips.len()];
        for p in points(&form, draw) {
            let nearest = |a: &usize, b: &usize| tips[*a].1.distance(p).total_cmp(&tips[*b].1.distance(p));
            if let Some(n) = (0..tips.len()).min_by(nearest) {
                shares[n].push(p);
            }
        }
        for ((.., tip), share) in tips.into_iter().zip(shares) {
            fork(&mut pieces, *tip, &share, &form, draw);
        }
    }
    pieces
}

/// Points throughout a solid, on a shaken lattice.
fn points(form: &Form, draw: &mut Stream) -> Vec<Vec3> {
    // Bounds may be open upwards and downwards.
    let b = form.bounds();
    let (low, high) = (b.min.max(Vec3::splat(-400.0)), b.max.min(Vec3::splat(600.0)));
    let count = ((high - low) / POINTS_MM).ceil();
    let mut points = Vec::new();
    for k in 0..count.z as usize {
        for j in 0..count.y as usize {
            for i in 0..count.x as usize {
                let shaken = vec3(i as f32, j as f32, k as f32) + vec3(draw.uniform(), draw.uniform(), draw.uniform());
                let p = low + shaken * POINTS_MM;
                if form.holds(p, MARGIN_MM) {
                    points.push(p);
                }
            }
        }
    }
    points
}

fn mean(points: &[Vec3]) -> Vec3 {
    points.iter().sum::<Vec3>() / points.len().max(1) as f32
}

/// Direction across `along` in which points spread most.
fn widest_across(points: &[Vec3], middle: Vec3, along: Vec3) -> Vec3 {
    let (u, v) = along.any_orthonormal_pair();
    let [mut uu, mut uv, mut vv] = [0.0f32; 3];
    for p in points {
        let (a, b) = ((*p - middle).dot(u), (*p - middle).dot(v));
        uu += a * a;
        uv += a * b;
        vv += b * b;
    }
    let (sin, cos) = (0.5 * (2.0 * uv).atan2(uu - vv)).sin_cos();
    u * cos + v * sin
}

/// Grows two daughters, and theirs, from the end of a piece into the points it supplies.
fn fork(pieces: &mut Vec<Piece>, parent: usize, points: &[Vec3], lobe: &Form, draw: &mut Stream) {
    let Piece { generation, ends: [(from, _), (tip, radius)], lobe: name, .. } = pieces[parent];
    if points.len() < 4 {
        return;
    }
    let along = (tip - from).normalize_or(Vec3::Z);
    let middle = mean(points);
    let across = widest_across(points, middle, along);
    let shift = draw.between(-3.0, 3.0);
    let (left, right): (Vec<Vec3>, Vec<Vec3>) = points.iter().partition(|p| (**p - middle).dot(across) < shift);
    pieces[parent].fork_normal = along.cross(across);
    for half in [left, right] {
        let share = half.len() as f32 / points.len() as f32;
        let lumen = radius * share.cbrt().clamp(0.55, 0.92);
        if half.is_empty() || lumen < LEAST_RADIUS_MM {
            continue;
        }
        let towards = mean(&half) - tip;
        // A daughter leaves at 60 degrees at most: one that must turn back does so in several steps.
        let (ahead, aside) = (towards.dot(along), towards.reject_from(along));
        let way = along * ahead.max(aside.length() * 0.58) + aside;
        let mut step = way.normalize_or(along) * (towards.length() * 0.4).clamp(3.0 * lumen, 12.0 * lumen);
        let depth = MARGIN_MM + outer_radius(lumen);
        let fits = |step: Vec3| lobe.holds(tip + step, depth) && lobe.holds(tip + step * 0.5, depth);
        for _ in 0..5 {
            if !fits(step) {
                step *= 0.7;
            }
        }
        if !fits(step) {
            continue;
        }
        let ends = [(tip, lumen.max(radius * 0.8).min(lumen * 1.1)), (tip + step, lumen)];
        let child =
            Piece { parent: Some(parent), generation: generation + 1, lobe: name, ends, fork_normal: Vec3::ZERO };
        pieces.push(child);
        fork(pieces, pieces.len() - 1, &half, lobe, draw);
    }
}

/// Solids of the walls and of the lumina.
fn forms<'a>(pieces: impl Iterator<Item = &'a Piece>) -> [Form; 2] {
    let lumina: Vec<[(Vec3, f32); 2]> = pieces.map(|p| p.ends).collect();
    let walls: Vec<_> = lumina.iter().map(|ends| ends.map(|(at, r)| (at, outer_radius(r)))).collect();
    [walls, lumina].map(|tree| -> Form { std::sync::Arc::new(Shape::Tube(Tube::tree(&tree))) })
}

/// Everything within the walls of a tree.
pub(super) fn solid(pieces: &[Piece]) -> Form {
    let [walls, _] = forms(pieces.iter());
    walls
}

/// The stream of one side's bronchi.
pub(super) fn stream(person: &Person, side: Side) -> Stream {
    person.stream(&format!("bronchi_{}", side.name()))
}

/// Bronchi of the left and right, then the trachea.
pub(super) fn paint(model: &mut Model, trees: &[(Side, Vec<Piece>); 2]) {
    let mut lumina = Vec::new();
    let mut twigs = Vec::new();
    for (side, pieces) in trees {
        let is_thick = |p: &&Piece| p.ends[1].1 >= LABELLED_RADIUS_MM;
        let [thin, lumen] = forms(pieces.iter().filter(|p| !is_thick(p)));
        model.shade(Tissue::AIRWAY, thin);
        twigs.push(lumen);
        let [thick, lumen] = forms(pieces.iter().filter(is_thick));
        model.paint(&format!("bronchus_{}", side.name()), Tissue::AIRWAY, thick);
        lumina.push(lumen);
    }
    let windpipe = [
        at(0.0, -16.0, 530.0, 8.3),
        at(0.0, -13.0, 490.0, 8.6),
        at(-1.0, -7.0, 450.0, 8.8),
        at(-3.0, 0.0, 415.0, 8.8),
        (CARINA, 9.1),
    ];
    let lumen = curve(&windpipe, 6.0);
    let wall: Vec<_> = lumen.iter().map(|&(at, r)| (at, outer_radius(r))).collect();
    model.paint("trachea", Tissue::AIRWAY, std::sync::Arc::new(Shape::Tube(Tube::round(&wall))));
    lumina.push(std::sync::Arc::new(Shape::Tube(Tube::round(&lumen))));
    // One lumen for all: the wall of none closes another.
    lumina.extend(twigs);
    model.shade(Tissue::AIR, union(lumina, 0.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PhantomOptions;

    #[test]
    fn every_lobe_has_seven_generations_and_none_leaves_it() {
        let cavities = Cavities::reference();
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let person = Person::new(&options);
        for side in Side::BOTH {
            let pieces = tree(side, cavities, &mut stream(&person, side));
            for &lobe in Lobe::all(side) {
                let form = cavities.lobe(side, lobe);
                let own = || pieces.iter().filter(|p| p.lobe == Some(lobe) && p.parent.is_some());
                let last = own().map(|p| p.generation).max().unwrap_or(0);
                let labelled = own().filter(|p| p.ends[1].1 >= LABELLED_RADIUS_MM);
                let deep = labelled.clone().filter(|p| p.generation >= 7).count();
                eprintln!(
                    "{} {lobe:?}: {} pieces, {} labelled, {deep} of them in generation 7 or more, last {last}",
                    side.name(),
                    own().count(),
                    labelled.count()
                );
                assert!(last >= 9, "{} {lobe:?} ends in generation {last}", side.name());
                assert!(deep >= 8, "{} {lobe:?}: {deep} labelled airways of generation 7 or more", side.name());
                for p in own() {
                    let (tip, lumen) = p.ends[1];
                    assert!(form.distance(tip) < -outer_radius(lumen), "an airway leaves the lobe at {tip}");
                }
            }
        }
    }

    #[test]
    fn daughters_are_thinner_than_their_parents_as_weibel_found() {
        let cavities = Cavities::reference();
        let pieces = tree(Side::Right, cavities, &mut Stream::new(3, "t"));
        let ratio = |p: &Piece| p.parent.map(|parent| p.ends[1].1 / pieces[parent].ends[1].1);
        let ratios: Vec<f32> = pieces.iter().filter_map(ratio).collect();
        let mean = ratios.iter().sum::<f32>() / ratios.len() as f32;
        assert!((mean - 0.79).abs() < 0.03, "a daughter has {mean} of its parent's diameter");
        assert!(ratios.iter().all(|&r| r < 1.0));
    }
}
