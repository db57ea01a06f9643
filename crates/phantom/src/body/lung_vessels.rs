//! Arteries and veins within the lungs.
//!
//! An artery runs beside each bronchus, on the side away from the fork ahead so that no branch crosses it, and is as wide as its
//! lumen; in people it is 1.3–1.6 times as wide (Kim et al., J Comput Assist Tomogr 1997; 21: 306). Veins run between the bronchi
//! and lead to the two veins of their side, the upper one from the upper and middle lobes.

use std::sync::Arc;

use glam::Vec3;

use super::bronchi::{self, Lobe, Piece, outer_radius};
use super::heart;
use super::thorax::Cavities;
use super::tree::{Growth, grow};
use super::vessels::{self, Branch};
use super::{Model, Side};
use crate::noise::Stream;
use crate::options::Person;
use crate::sdf::{Form, Shape, Tube, ball, intersection, offset, union, without};
use crate::tissue::Tissue;

/// Thinner vessels show in the scan only; the truth holds what can be one piece on a grid. In mm.
const LABELLED_RADIUS_MM: f32 = 1.25;
/// Room between an airway's wall and what runs beside it in mm.
const GAP_MM: f32 = 0.4;

pub(super) fn paint(model: &mut Model, person: &Person, cavities: &Cavities, side: Side, airways: &[Piece]) {
    let name = format!("lung_vessels_{}", side.name());
    let lung = cavities.lung(side);
    let arteries = arteries(side, airways, &lung);
    let mut branches = veins(side, cavities, airways, &arteries, &mut person.stream(&name));
    branches.extend(arteries);
    // Beyond the lung's surface only at the hilum, and never in the heart's wall or the arteries on it.
    let room = union(vec![offset(&lung, -1.0), ball(vessels::hilum(side), 26.0)], 0.0);
    let walls =
        vec![heart::place_together(person, &offset(&heart::outline(), 3.8)), offset(&heart::left_auricle(person), 1.5)];
    let room = without(room, walls, 0.0);
    let within = |branches: &[Branch]| {
        let tree: Form = Arc::new(Shape::Tube(Tube::tree(branches)));
        intersection(vec![tree, room.clone()], 0.0)
    };
    let (thick, thin): (Vec<_>, Vec<_>) = branches.iter().partition(|b| b[1].1 >= LABELLED_RADIUS_MM);
    model.shade(Tissue::HEART_BLOOD, within(&thin));
    model.paint(&name, Tissue::HEART_BLOOD, within(&thick));
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

fn veins(side: Side, cavities: &Cavities, airways: &[Piece], arteries: &[Branch], draw: &mut Stream) -> Vec<Branch> {
    let thick: Vec<Branch> = arteries.iter().filter(|b| b[1].1 > 0.8).copied().collect();
    let avoid = union(vec![bronchi::solid(airways), Arc::new(Shape::Tube(Tube::tree(&thick)))], 0.0);
    let [upper_root, lower_root] = vessels::venous_roots(side);
    let lobe = |lobe: Lobe| cavities.lobe(side, lobe);
    let upper = match side {
        Side::Left => lobe(Lobe::Upper),
        Side::Right => union(vec![lobe(Lobe::Upper), lobe(Lobe::Middle)], 0.0),
    };
    let mut branches = Vec::new();
    for (root, organ) in [(upper_root, upper), (lower_root, lobe(Lobe::Lower))] {
        let growth = Growth { root, leaves: 230, leaf_radius_mm: 0.6, margin_mm: 4.0, step_mm: 7.0 };
        branches.extend(grow(&organ, Some(&avoid), &growth, draw));
    }
    branches
}
