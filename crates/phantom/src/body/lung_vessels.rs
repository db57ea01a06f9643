//! Arteries and veins within the lungs.
//!
//! An artery runs beside each bronchus, on the side away from the fork ahead so that no branch crosses it, and is as wide as its
//! lumen; in people it is 1.3–1.6 times as wide (Kim et al., J Comput Assist Tomogr 1997; 21: 306). Veins are grown between the
//! bronchi and lead to the two veins of their side, the upper one from the upper and middle lobes; they keep clear of both.

use std::sync::Arc;

use glam::Vec3;
use rayon::prelude::*;

use super::arbor::{Growth, Joint, grow};
use super::bronchi::{self, Lobe, Piece, outer_radius};
use super::heart;
use super::thorax::Cavities;
use super::vessels::{self, Branch};
use super::{Model, Side};
use crate::options::Person;
use crate::sdf::{Form, Shape, Tube, ball, intersection, offset, union, without};
use crate::tissue::Tissue;

/// Thinner vessels show in the scan only; the truth holds what can be one piece on a grid. In mm.
const LABELLED_RADIUS_MM: f32 = 1.25;
/// Room between an airway's wall and what runs beside it in mm.
const GAP_MM: f32 = 0.4;

/// The vessels of one lung.
pub(super) struct LungVessels {
    /// What the truth holds.
    thick: Form,
    /// What shows in the scan only.
    thin: Form,
}

impl LungVessels {
    pub(super) fn grow(person: &Person, cavities: &Cavities, side: Side, airways: &[Piece]) -> Self {
        let lung = cavities.lung(side);
        let arteries = arteries(side, airways, &lung);
        let mut branches = veins(person, side, cavities, airways, &arteries);
        branches.extend(arteries);
        // Beyond the lung's surface only at the hilum, and never in the heart's wall or the arteries on it.
        let room = union(vec![offset(&lung, -1.0), ball(vessels::hilum(side), 26.0)], 0.0);
        let walls = vec![
            heart::place_together(person, &offset(&heart::outline(), 3.8)),
            offset(&heart::left_auricle(person), 1.5),
        ];
        let room = without(room, walls, 0.0);
        let within = |branches: &[Branch]| {
            let tree: Form = Arc::new(Shape::Tube(Tube::tree(branches)));
            intersection(vec![tree, room.clone()], 0.0)
        };
        let (thick, thin): (Vec<_>, Vec<_>) = branches.iter().partition(|b| b[1].1 >= LABELLED_RADIUS_MM);
        Self { thick: within(&thick), thin: within(&thin) }
    }

    pub(super) fn paint(self, model: &mut Model, side: Side) {
        model.shade(Tissue::HEART_BLOOD, self.thin);
        model.paint(&name(side), Tissue::HEART_BLOOD, self.thick);
    }
}

fn name(side: Side) -> String {
    format!("lung_vessels_{}", side.name())
}

/// Nearest point of a chain of stations.
fn nearest(chain: &[(Vec3, f32)], p: Vec3) -> (Vec3, f32) {
    let foot = |w: &[(Vec3, f32)]| {
        let ab = w[1].0 - w[0].0;
        let t = ((p - w[0].0).dot(ab) / ab.length_squared()).clamp(0.0, 1.0);
        (w[0].0 + ab * t, w[0].1 + (w[1].1 - w[0].1) * t)
    };
    let closer = |a: &(Vec3, f32), b: &(Vec3, f32)| a.0.distance(p).total_cmp(&b.0.distance(p));
    chain.windows(2).map(foot).min_by(closer).unwrap_or((p, 0.0))
}

fn arteries(side: Side, airways: &[Piece], lung: &Form) -> Vec<Branch> {
    let chains = vessels::lobar_arteries(side);
    let mut branches: Vec<Branch> =
        chains.iter().flat_map(|chain| chain.windows(2).map(|w| [w[0], w[1]]).collect::<Vec<_>>()).collect();
    // Where the artery runs beside the end of each piece, as an offset from the airway.
    let mut beside = vec![Vec3::ZERO; airways.len()];
    for (i, piece) in airways.iter().enumerate() {
        let [(from, _), (to, lumen)] = piece.ends;
        let along = (to - from).normalize_or(Vec3::Z);
        let room = outer_radius(lumen) + lumen + GAP_MM;
        if piece.lobe.is_none() {
            continue;
        }
        let Some(parent) = piece.parent else {
            // A segmental bronchus: its artery comes from the nearest lobar one.
            if piece.fork_normal == Vec3::ZERO {
                continue;
            }
            let feet = chains.iter().map(|chain| nearest(chain, to));
            let Some((foot, wide)) = feet.min_by(|a, b| a.0.distance(to).total_cmp(&b.0.distance(to))) else {
                continue;
            };
            beside[i] = (foot - to).reject_from(along).normalize_or(piece.fork_normal) * room;
            branches.push([(foot, (lumen * 1.2).min(wide)), (to + beside[i], lumen)]);
            continue;
        };
        let before = beside[parent];
        let mut side = piece.fork_normal;
        if side == Vec3::ZERO {
            side = before.reject_from(along).normalize_or(along.any_orthonormal_vector());
        }
        if side.dot(before) < 0.0 {
            side = -side;
        }
        if lung.distance(to + side * room) > -2.0 {
            side = -side;
        }
        beside[i] = side * room;
        let radius = airways[parent].ends[1].1.min(lumen * 1.1);
        let middle = from.midpoint(to) + (before + beside[i]).normalize_or(side) * ((before.length() + room) / 2.0);
        branches.push([(from + before, radius), (middle, lumen)]);
        branches.push([(middle, lumen), (to + beside[i], lumen)]);
    }
    branches
}

fn veins(person: &Person, side: Side, cavities: &Cavities, airways: &[Piece], arteries: &[Branch]) -> Vec<Branch> {
    let thick: Vec<Branch> = arteries.iter().filter(|b| b[1].1 > 0.8).copied().collect();
    let taken = union(vec![bronchi::solid(airways), Arc::new(Shape::Tube(Tube::tree(&thick)))], 0.0);
    let [upper_root, lower_root] = vessels::venous_roots(side);
    let lobe = |lobe: Lobe| cavities.lobe(side, lobe);
    let upper = match side {
        Side::Left => lobe(Lobe::Upper),
        Side::Right => union(vec![lobe(Lobe::Upper), lobe(Lobe::Middle)], 0.0),
    };
    let lobes = [("upper", upper_root, upper), ("lower", lower_root, lobe(Lobe::Lower))];
    let vein = |(part, root, organ): (&str, Vec3, Form)| {
        let growth = Growth {
            trunk: &trunk(root, &organ, &taken),
            organ: &without(organ, vec![taken.clone()], 0.0),
            territory: &|_| 1,
            leaves: 230,
            leaf_radius_mm: 0.6,
            margin_mm: 4.0,
            gap_mm: GAP_MM,
        };
        let grown = grow(&growth, &mut person.stream(&format!("{} {part}", name(side))));
        grown.iter().map(|b| [(b.from, b.radius), (b.to, b.radius)]).collect()
    };
    let veins: Vec<Vec<Branch>> = lobes.into_par_iter().map(vein).collect();
    veins.concat()
}

/// The way of a vein from its root towards the middle of a lobe, past arteries and airways.
fn trunk(root: Vec3, organ: &Form, taken: &Form) -> Vec<Joint> {
    /// Length of a piece in mm.
    const PIECE_MM: f32 = 6.0;
    /// Pieces.
    const PIECES: usize = 5;
    /// From a trunk's axis to what it passes, in mm: as wide as 180 twigs need.
    const ROOM_MM: f32 = 4.2;
    let b = organ.bounds();
    let goal = b.min.midpoint(b.max);
    let mut trunk = vec![Joint { at: root, parent: 0, territory: 1 }];
    for parent in 0..PIECES {
        let from = trunk[parent].at;
        let straight = (goal - from).normalize_or(Vec3::Z);
        // What is missing of the room costs more than any way round.
        let cost = |&way: &Vec3| {
            let room = (1..=6).map(|s| taken.distance(from + way * (PIECE_MM * s as f32 / 6.0)));
            (ROOM_MM - room.fold(ROOM_MM, f32::min)) * 4.0 - way.dot(straight)
        };
        let ways = std::iter::once(straight).chain(directions());
        let way = ways.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(straight);
        trunk.push(Joint { at: from + way * PIECE_MM, parent, territory: 1 });
    }
    trunk
}

/// Directions spread evenly, along a spiral from pole to pole.
fn directions() -> impl Iterator<Item = Vec3> {
    const COUNT: usize = 150;
    (0..COUNT).map(|i| {
        let z = 1.0 - (2 * i + 1) as f32 / COUNT as f32;
        let (sin, cos) = (i as f32 * std::f32::consts::PI * (3.0 - 5f32.sqrt())).sin_cos();
        let r = (1.0 - z * z).sqrt();
        Vec3::new(r * cos, r * sin, z)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PhantomOptions;

    /// Branches of the veins of a lung, each with how deep it runs into an artery or an airway, in mm.
    fn depths(person: &Person, side: Side) -> Vec<(Branch, f32)> {
        let cavities = Cavities::reference();
        let airways = bronchi::tree(side, cavities, &mut bronchi::stream(person, side));
        let arteries = arteries(side, &airways, &cavities.lung(side));
        let thick: Vec<Branch> = arteries.iter().filter(|b| b[1].1 > 0.8).copied().collect();
        let taken = union(vec![bronchi::solid(&airways), Arc::new(Shape::Tube(Tube::tree(&thick)))], 0.0);
        let veins = veins(person, side, cavities, &airways, &arteries);
        let depth = |b: &Branch| {
            let at = |s: usize| b[0].0.lerp(b[1].0, s as f32 / 8.0);
            (0..=8).map(|s| b[0].1 - taken.distance(at(s))).fold(f32::NEG_INFINITY, f32::max)
        };
        veins.iter().map(|b| (*b, depth(b))).collect()
    }

    #[test]
    fn no_vein_crosses_an_artery_or_an_airway() {
        for seed in 1..=8 {
            let person = Person::new(&PhantomOptions::drawn(seed));
            for side in [Side::Left, Side::Right] {
                let depths = depths(&person, side);
                let deepest = depths.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
                assert!(deepest.1 < 0.0, "seed {seed}, {side:?}: {deepest:?}");
                let thickest = depths.iter().map(|d| d.0[0].1).fold(0.0, f32::max);
                assert!(depths.len() > 500 && thickest > 2.8, "seed {seed}, {side:?}: {}, {thickest}", depths.len());
            }
        }
    }
}
