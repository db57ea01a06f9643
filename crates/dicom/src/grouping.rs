//! Which slices of a series make a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use glam::DVec3;

use crate::instance::{Instance, Plane};
use crate::planes::{Frame, Layout, is_even, layout, same_place, usual_distance, widest_bridge_mm};
use crate::report::{Finding, Obstacle, SplitBy};

/// A plane of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceRef {
    pub(crate) instance: usize,
    pub(crate) plane: usize,
}

/// Slices that make one volume, in the order of their places along the normal.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) slices: Vec<SliceRef>,
    pub(crate) layout: Result<Layout, Obstacle>,
    pub(crate) split: Vec<SplitBy>,
    pub(crate) findings: Vec<Finding>,
}

/// A slice with its place, while stacks are put together.
#[derive(Clone)]
struct Slice<'a> {
    at: SliceRef,
    plane: &'a Plane,
    frame_of_reference: &'a str,
    frame: Frame,
    position: DVec3,
    along: f64,
}

/// The order in which attributes are tried where slices lie at the same place.
const SPLIT_ORDER: [SplitBy; 11] = [
    SplitBy::Stack,
    SplitBy::TemporalPosition,
    SplitBy::Echo,
    SplitBy::ImageType,
    SplitBy::DiffusionBValue,
    SplitBy::InversionTime,
    SplitBy::CardiacPhase,
    SplitBy::TubeVoltage,
    SplitBy::Kernel,
    SplitBy::Acquisition,
    SplitBy::AcquisitionTime,
];

/// Directions that differ less than this (as a difference of unit vectors: 0.1°) are the same.
const SAME_DIRECTION: f64 = 2e-3;

/// Relative difference of pixel spacings that are the same.
const SAME_SPACING: f64 = 1e-4;

/// Distinct orientations and sizes that are told apart within one series; radial scans have some dozens.
const MAX_KINDS: usize = 256;

/// Groups the slices of the given instances, all of one series and without obstacles, into stacks; largest first.
pub(crate) fn stacks(instances: &[Instance], members: &[usize]) -> Vec<Stack> {
    let kinds = by_kind(slices_of(instances, members));
    let split_kinds = kinds.len() > 1;
    let differs = |same: &dyn Fn(&Slice<'_>, &Slice<'_>) -> bool| {
        kinds.first().is_some_and(|(first, _)| kinds.iter().any(|(kind, _)| !same(first, kind)))
    };
    let mut by = Vec::new();
    if split_kinds {
        let causes = [
            (SplitBy::FrameOfReference, differs(&|a, b| a.frame_of_reference == b.frame_of_reference)),
            (SplitBy::Size, differs(&same_size)),
            (SplitBy::Orientation, differs(&same_orientation)),
        ];
        by.extend(causes.into_iter().filter(|(_, differs)| *differs).map(|(by, _)| by));
    }
    let mut stacks: Vec<Stack> = kinds
        .into_iter()
        .flat_map(|(_, slices)| divide(slices, &by))
        .flat_map(|(slices, by)| divide_at_gaps(slices, by))
        .map(|(slices, by)| finish(slices, by))
        .collect();
    stacks.sort_by_key(|stack| std::cmp::Reverse(stack.slices.len()));
    let count = stacks.len();
    for (n, stack) in stacks.iter_mut().enumerate() {
        if count > 1 {
            let split = Finding::Split { by: stack.split.clone(), stack: n + 1, stacks: count };
            stack.findings.insert(0, split);
        }
    }
    stacks
}

fn slices_of<'a>(instances: &'a [Instance], members: &[usize]) -> Vec<Slice<'a>> {
    let mut slices = Vec::new();
    for &member in members {
        let instance = &instances[member];
        let Some(format) = &instance.pixels else { continue };
        for (n, plane) in instance.planes.iter().enumerate() {
            let (Some(position), Some(directions), Some(spacing)) =
                (plane.image_position_patient, plane.image_orientation_patient, plane.pixel_spacing)
            else {
                continue;
            };
            let frame = Frame::new(directions, spacing, [format.columns, format.rows]);
            let at = SliceRef { instance: member, plane: n };
            let frame_of_reference = instance.frame_of_reference.as_str();
            slices.push(Slice { at, plane, frame_of_reference, frame, position, along: frame.along(position) });
        }
    }
    slices
}

fn same_size(a: &Slice<'_>, b: &Slice<'_>) -> bool {
    let (a, b) = (&a.frame, &b.frame);
    let spacing =
        (a.pixel_spacing - b.pixel_spacing).abs().max_element() <= SAME_SPACING * a.pixel_spacing.max_element();
    (a.columns, a.rows) == (b.columns, b.rows) && spacing
}

fn same_orientation(a: &Slice<'_>, b: &Slice<'_>) -> bool {
    let near = |a: DVec3, b: DVec3| (a - b).length() <= SAME_DIRECTION;
    near(a.frame.row, b.frame.row) && near(a.frame.column, b.frame.column)
}

/// Slices of the same size, orientation and frame of reference, with the first of them.
fn by_kind(slices: Vec<Slice<'_>>) -> Vec<(Slice<'_>, Vec<Slice<'_>>)> {
    let mut kinds: Vec<(Slice<'_>, Vec<Slice<'_>>)> = Vec::new();
    for mut slice in slices {
        let kind = kinds.iter_mut().find(|(first, _)| {
            first.frame_of_reference == slice.frame_of_reference
                && same_size(first, &slice)
                && same_orientation(first, &slice)
        });
        if let Some((first, members)) = kind {
            // One frame for all, so that places compare.
            slice.along = first.frame.along(slice.position);
            members.push(slice);
        } else if kinds.len() < MAX_KINDS {
            kinds.push((slice.clone(), vec![slice]));
        }
    }
    for (_, members) in &mut kinds {
        sort(members);
    }
    kinds
}

/// Along the normal; slices at the same place by instance number.
fn sort(slices: &mut [Slice<'_>]) {
    slices.sort_by(|a, b| a.along.total_cmp(&b.along));
    for run in slices.chunk_by_mut(|a, b| same_place(a.along, b.along)) {
        run.sort_by_key(|slice| (slice.plane.instance_number, slice.at.instance, slice.at.plane));
    }
}

/// The distinct places of sorted slices, and how many slices lie at each.
fn places(slices: &[Slice<'_>]) -> Vec<(f64, usize)> {
    let mut places: Vec<(f64, usize)> = Vec::new();
    for slice in slices {
        match places.last_mut() {
            Some((along, count)) if same_place(*along, slice.along) => *count += 1,
            _ => places.push((slice.along, 1)),
        }
    }
    places
}

fn collisions(slices: &[Slice<'_>]) -> usize {
    slices.len() - places(slices).len()
}

/// Divides slices that lie at the same places, or unevenly, by what tells them apart.
fn divide<'a>(slices: Vec<Slice<'a>>, by: &[SplitBy]) -> Vec<(Vec<Slice<'a>>, Vec<SplitBy>)> {
    let places = places(&slices);
    let along: Vec<f64> = places.iter().map(|(along, _)| *along).collect();
    let most = places.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let before = slices.len() - places.len();
    if before == 0 && is_even(&along) {
        return vec![(slices, by.to_vec())];
    }
    let mut best: Option<(usize, SplitBy, Vec<Vec<Slice<'a>>>)> = None;
    for key in SPLIT_ORDER.into_iter().filter(|key| !by.contains(key)) {
        let parts = parts(&slices, key);
        // A number that each slice has for itself tells nothing apart.
        if parts.len() < 2 || parts.len() > (2 * most).max(8) {
            continue;
        }
        let after: usize = parts.iter().map(|part| collisions(part)).sum();
        let better = if before > 0 {
            after < best.as_ref().map_or(before, |(after, ..)| *after)
        } else {
            let even =
                |part: &Vec<Slice<'_>>| part.len() > 2 && is_even(&part.iter().map(|s| s.along).collect::<Vec<_>>());
            best.is_none() && parts.iter().all(even)
        };
        if better {
            best = Some((after, key, parts));
        }
        if matches!(&best, Some((0, ..))) {
            break;
        }
    }
    if best.is_none() && most > 1 && places.len() > 1 && places.iter().all(|(_, count)| *count == most) {
        best = Some((0, SplitBy::Order, by_order(&slices, most)));
    }
    let Some((_, key, parts)) = best else { return vec![(slices, by.to_vec())] };
    let by: Vec<SplitBy> = by.iter().copied().chain([key]).collect();
    parts.into_iter().flat_map(|part| divide(part, &by)).collect()
}

/// Slices by the value of a key, in numeric order where values are numbers.
fn parts<'a>(slices: &[Slice<'a>], key: SplitBy) -> Vec<Vec<Slice<'a>>> {
    let mut parts: BTreeMap<Option<&Arc<str>>, Vec<Slice<'a>>> = BTreeMap::new();
    for slice in slices {
        parts.entry(slice.plane.keys.get(key)).or_default().push(slice.clone());
    }
    let number = |key: &Option<&Arc<str>>| key.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(f64::MAX);
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)));
    parts.into_iter().map(|(_, part)| part).collect()
}

/// The first slice at each place, then the second, and so on.
fn by_order<'a>(slices: &[Slice<'a>], count: usize) -> Vec<Vec<Slice<'a>>> {
    let mut parts = vec![Vec::new(); count];
    let (mut along, mut rank) = (f64::NAN, 0);
    for slice in slices {
        rank = if same_place(along, slice.along) { rank + 1 } else { 0 };
        along = slice.along;
        parts[rank.min(count - 1)].push(slice.clone());
    }
    parts
}

/// Parts a stack where the gap is too wide to be bridged.
fn divide_at_gaps(slices: Vec<Slice<'_>>, by: Vec<SplitBy>) -> Vec<(Vec<Slice<'_>>, Vec<SplitBy>)> {
    let along: Vec<f64> = slices.iter().map(|slice| slice.along).collect();
    let Some(usual) = usual_distance(&along) else { return vec![(slices, by)] };
    let widest = widest_bridge_mm(usual);
    let mut parts: Vec<Vec<Slice<'_>>> = Vec::new();
    for slice in slices {
        match parts.last_mut() {
            Some(part) if part.last().is_some_and(|last| slice.along - last.along <= widest) => part.push(slice),
            _ => parts.push(vec![slice]),
        }
    }
    let by = if parts.len() > 1 { by.into_iter().chain([SplitBy::Gap]).collect() } else { by };
    parts.into_iter().map(|part| (part, by.clone())).collect()
}

/// Leaves out what lies where another slice lies, and lays the grid.
fn finish(slices: Vec<Slice<'_>>, split: Vec<SplitBy>) -> Stack {
    let mut findings = Vec::new();
    let before = slices.len();
    let mut kept: Vec<Slice<'_>> = Vec::with_capacity(before);
    for slice in slices {
        if kept.last().is_none_or(|last| !same_place(last.along, slice.along)) {
            kept.push(slice);
        }
    }
    if kept.len() < before {
        findings.push(Finding::DuplicateSlices { slices: before - kept.len() });
    }
    let positions: Vec<DVec3> = kept.iter().map(|slice| slice.position).collect();
    let layout = match kept.first() {
        Some(first) => layout(&first.frame, &positions, first.plane.slice_thickness_mm),
        None => Err("there are no slices".to_owned()),
    };
    let layout = layout.map_err(|reason| Obstacle::NoStack { reason });
    if let Some([row, column]) = kept.first().and_then(|slice| slice.plane.image_orientation_patient) {
        let deviation_deg = (90.0 - row.angle_between(column).to_degrees()).abs();
        if deviation_deg > 0.1 {
            findings.push(Finding::SkewedAxes { deviation_deg });
        }
    }
    Stack { slices: kept.iter().map(|slice| slice.at).collect(), layout, split, findings }
}

/// Leaves out files that hold an instance twice; the number of those left out.
pub(crate) fn without_duplicate_files(instances: &[Instance], members: &mut Vec<usize>) -> usize {
    let mut seen = BTreeSet::new();
    let before = members.len();
    members.retain(|&member| {
        let uid = instances[member].sop_instance.as_str();
        uid.is_empty() || seen.insert(uid)
    });
    before - members.len()
}
