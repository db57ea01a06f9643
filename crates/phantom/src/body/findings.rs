//! Findings, painted over the healthy body.

use glam::{Vec3, vec3};

use super::thorax::Cavities;
use super::{Model, Side, coronaries, vessels};
use crate::error::PhantomError;
use crate::findings::{Finding, FindingKind};
use crate::noise::Stream;
use crate::options::Person;
use crate::sdf::{Bounds, Form, ball, ellipsoid, half_space, intersection, offset, rod, without};
use crate::tissue::Tissue;

/// Where a lesion of the liver lies if it has room there, in segment VI–VII of the right lobe.
const LESION: Vec3 = vec3(-92.0, 18.0, 212.0);
/// Places tried for one finding.
const TRIES: usize = 6000;
/// What therapy has made smaller than this is gone.
const GONE_MM: f32 = 1.0;
/// Kept free between a ball and what it may not touch, in mm.
const GAP_MM: f32 = 2.0;

/// When a finding is painted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the liver's vessels grow, which lead round it.
    BeforeVessels,
    /// Over everything.
    Last,
}

impl Stage {
    fn of(kind: FindingKind) -> Self {
        match kind {
            FindingKind::LiverMetastasis | FindingKind::LiverCyst | FindingKind::LiverHypervascular => {
                Self::BeforeVessels
            }
            _ => Self::Last,
        }
    }
}

/// Paints the findings whose time it is, with their size of the first day if they lie in the liver, else with that of `day`.
pub(super) fn paint(
    model: &mut Model,
    person: &Person,
    cavities: &Cavities,
    (findings, day): (&[Finding], f32),
    stage: Stage,
) -> Result<(), PhantomError> {
    for (n, finding) in findings.iter().enumerate().filter(|(_, f)| Stage::of(f.kind) == stage) {
        let draw = person.stream(&format!("finding {n}"));
        let radius = finding.size / 2.0;
        let name = finding.kind.structure();
        let grown = if stage == Stage::Last { finding.size_on(day) / finding.size } else { 1.0 };
        let painted = match finding.kind {
            FindingKind::PleuralEffusion => {
                let level = BACK_MM - finding.size;
                let fluid = half_space(vec3(0.0, level, 0.0), Vec3::NEG_Y);
                model.paint(name, Tissue::EFFUSION, intersection(vec![cavities.lung(Side::Right), fluid], 2.0));
                true
            }
            FindingKind::Pneumothorax => {
                let level = FRONT_MM + finding.size;
                let air = half_space(vec3(0.0, level, 0.0), Vec3::Y);
                model.paint(name, Tissue::AIR, intersection(vec![cavities.lung(Side::Right), air], 2.0));
                true
            }
            FindingKind::AorticAneurysm => {
                aneurysm(model, radius);
                true
            }
            FindingKind::Gallstones => stones(model, draw, radius),
            FindingKind::CoronaryStenosis => {
                plaque(model, name, "coronary_artery_left", coronaries::narrowed(person, finding.size));
                true
            }
            FindingKind::CarotidStenosis => {
                plaque(model, name, "common_carotid_artery_left", vessels::narrowed_carotid(finding.size));
                true
            }
            // Drawn with the spine.
            FindingKind::VertebralFracture | FindingKind::Scoliosis => true,
            kind => Site::of(kind).place(model, draw, radius).is_some_and(|center| {
                let ball = lesion(center, radius * grown);
                let form = match kind {
                    FindingKind::LungNodule | FindingKind::GroundGlassNodule if grown > 1.0 => {
                        let side = if center.x > 0.0 { Side::Left } else { Side::Right };
                        intersection(vec![ball, cavities.lung(side)], 0.0)
                    }
                    _ => ball,
                };
                if finding.size_on(day) > GONE_MM {
                    model.paint(name, tissue(kind), form);
                }
                true
            }),
        };
        if !painted {
            return Err(PhantomError::Finding { finding: finding.to_string() });
        }
    }
    Ok(())
}

fn lesion(center: Vec3, radius: f32) -> Form {
    ellipsoid(center, radius * vec3(1.0, 0.96, 1.03))
}

/// Gives the liver's findings their size of a day. Vessels have grown round that of the first day: one that is larger has grown round
/// them, and where one has shrunk, its segment is back.
pub(super) fn grow(model: &mut Model, liver: &Form, (findings, day): (&[Finding], f32)) {
    let mut in_liver = findings.iter().filter(|f| Stage::of(f.kind) == Stage::BeforeVessels);
    let names = in_liver.clone().map(|f| model.label(f.kind.structure())).collect::<Vec<_>>();
    model.layers.retain_mut(|layer| {
        // Their layers stand in the order of the findings.
        let Some(finding) = names.contains(&layer.label).then(|| in_liver.next()).flatten() else { return true };
        let size = finding.size_on(day);
        if size != finding.size {
            let Bounds { min, max } = layer.form.bounds();
            layer.form = intersection(vec![lesion((min + max) * 0.5, size / 2.0), offset(liver, -0.5)], 0.0);
        }
        size > GONE_MM
    });
}

/// A plaque round a lumen, both in the place of a part of an artery.
fn plaque(model: &mut Model, name: &str, artery: &str, [plaque, lumen]: [Form; 2]) {
    model.paint(name, Tissue::PLAQUE, plaque);
    model.paint(artery, Tissue::ARTERY, lumen);
}

/// The outer side of a plaque and the lumen it leaves: a stretch of a vessel from `from` to `to` mm, of which `percent` of the diameter
/// is lost in the middle.
pub(super) fn narrowed(course: &[(Vec3, f32)], [from, to]: [f32; 2], percent: f32) -> [Form; 2] {
    /// Thickness in mm of the wall round the plaque, which is left where the lumen narrows.
    const RIM_MM: f32 = 0.8;
    let mut walked = 0.0;
    let (mut outer, mut inner) = (Vec::new(), Vec::new());
    for (i, &(at, radius)) in course.iter().enumerate() {
        walked += i.checked_sub(1).map_or(0.0, |before| at.distance(course[before].0));
        let t = ((walked - from) / (to - from)).clamp(0.0, 1.0);
        if t > 0.0 && t < 1.0 {
            let depth = (std::f32::consts::PI * t).sin().powi(2);
            outer.push((at, radius + RIM_MM * depth.sqrt()));
            inner.push((at, radius * (1.0 - percent / 100.0 * depth)));
        }
    }
    [vessels::chain(&outer), vessels::chain(&inner)]
}

fn tissue(kind: FindingKind) -> Tissue {
    let even = |hu, mottle| Tissue::Soft { hu, mottle };
    match kind {
        FindingKind::LiverHypervascular => even(152.0, 9.0),
        FindingKind::LiverCyst | FindingKind::RenalCyst => even(6.0, 2.0),
        FindingKind::RenalMass => Tissue::Lesion { core: 88.0, rim: 132.0, rim_mm: 6.0 },
        FindingKind::LungNodule => even(38.0, 6.0),
        FindingKind::GroundGlassNodule => even(-590.0, 45.0),
        FindingKind::KidneyStone => even(950.0, 60.0),
        _ => Tissue::Lesion { core: 48.0, rim: 84.0, rim_mm: 3.0 },
    }
}

/// Where a ball may lie.
struct Site {
    /// Structures that may hold its middle, by the starts of their names.
    middle: &'static [&'static str],
    /// Structures its surface may touch besides.
    around: &'static [&'static str],
    /// Share of its surface that must lie in `around`, least and greatest.
    outside: [f32; 2],
    /// Tried first.
    home: Option<Vec3>,
    region: Bounds,
}

impl Site {
    fn of(kind: FindingKind) -> Self {
        let region = |low: Vec3, high: Vec3| Bounds { min: low, max: high };
        match kind {
            FindingKind::RenalMass | FindingKind::RenalCyst => Self {
                middle: &["kidney_cortex"],
                around: &["torso_fat", "kidney_medulla"],
                outside: [0.25, 0.65],
                home: None,
                region: region(vec3(-110.0, 0.0, 90.0), vec3(110.0, 70.0, 240.0)),
            },
            FindingKind::KidneyStone => Self {
                middle: &["renal_pelvis", "ureter"],
                around: &["torso_fat", "kidney"],
                outside: [0.0, 1.0],
                home: None,
                region: region(vec3(-70.0, 10.0, 135.0), vec3(70.0, 50.0, 200.0)),
            },
            FindingKind::LungNodule | FindingKind::GroundGlassNodule => Self {
                middle: &["lung_upper", "lung_middle", "lung_lower"],
                around: &["lung_vessels"],
                outside: [0.0, 0.4],
                home: None,
                region: region(vec3(-140.0, -95.0, 200.0), vec3(140.0, 105.0, 460.0)),
            },
            _ => Self {
                middle: &["liver_segment"],
                around: &[],
                outside: [0.0, 0.0],
                home: Some(LESION),
                region: region(vec3(-145.0, -95.0, 110.0), vec3(-40.0, 95.0, 310.0)),
            },
        }
    }

    /// The middle of a ball that fits.
    fn place(&self, model: &Model, mut draw: Stream, radius: f32) -> Option<Vec3> {
        let labels = |starts: &[&str]| -> Vec<bool> {
            let healthy = |name: &str| !FindingKind::ALL.iter().any(|k| k.structure() == name);
            let fits = |name: &str| healthy(name) && starts.iter().any(|start| name.starts_with(start));
            std::iter::once(false).chain(model.structures().iter().map(|s| fits(&s.name))).collect()
        };
        let (middle, around) = (labels(self.middle), labels(self.around));
        let fits = |center: Vec3| {
            if !middle[usize::from(model.label_at(center))] {
                return false;
            }
            let surface = directions().map(|d| usize::from(model.label_at(center + d * (radius + GAP_MM))));
            let outside = surface.iter().filter(|l| around[**l]).count() as f32 / surface.len() as f32;
            surface.iter().all(|l| middle[*l] || around[*l]) && (self.outside[0]..=self.outside[1]).contains(&outside)
        };
        let Bounds { min, max } = self.region;
        let drawn = (0..TRIES).map(|_| draw.point(min, max));
        self.home.into_iter().chain(drawn).find(|center| fits(*center))
    }
}

/// Towards the faces, edges and corners of a cube.
fn directions() -> [Vec3; 26] {
    let mut all = [Vec3::ZERO; 26];
    let steps = (0..27).filter(|n| *n != 13).map(|n| vec3((n % 3) as f32, (n / 3 % 3) as f32, (n / 9) as f32));
    for (out, step) in all.iter_mut().zip(steps) {
        *out = (step - 1.0).normalize_or_zero();
    }
    all
}

/// Three stones, as far back as they come to lie.
fn stones(model: &mut Model, mut draw: Stream, radius: f32) -> bool {
    let Some(own) = model.label("gallbladder") else { return false };
    let Some(bounds) = model.layers().iter().find(|l| l.label == Some(own)).map(|l| l.form.bounds()) else {
        return false;
    };
    // The wall stays whole.
    let free = |p: Vec3| directions().iter().all(|d| model.label_at(p + *d * (radius + 2.4)) == own);
    let mut places: Vec<Vec3> =
        (0..TRIES / 4).map(|_| draw.point(bounds.min, bounds.max)).filter(|p| free(*p)).collect();
    places.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut stones: Vec<Vec3> = Vec::new();
    for place in places {
        if stones.len() < 3 && stones.iter().all(|s| s.distance(place) > 2.0 * radius + 0.5) {
            stones.push(place);
        }
    }
    let rim = Tissue::Bone { cortex_mm: 1.2, cortical: 360.0, spongy: 95.0 };
    for stone in &stones {
        model.paint(FindingKind::Gallstones.structure(), rim, ball(*stone, radius));
    }
    !stones.is_empty()
}

/// Middle of the aneurysm's back wall, before the vertebral bodies and beside the vena cava.
const ANEURYSM: Vec3 = vec3(9.0, -4.0, 108.0);

/// A spindle of thrombus round a lumen that is wider than the healthy one.
fn aneurysm(model: &mut Model, radius: f32) {
    let center = ANEURYSM - Vec3::Y * radius;
    let cava = rod(vec3(-18.5, -11.0, 60.0), 12.0, vec3(-20.0, -9.0, 160.0), 12.5);
    let outer = without(ellipsoid(center, vec3(radius, radius, 48.0)), vec![cava], 3.0);
    let lumen = ellipsoid(vec3(7.0, -14.0, 108.0).lerp(center, 0.45), vec3(0.55 * radius, 0.5 * radius, 40.0));
    // The healthy vessel runs on through it.
    let vessel = rod(vec3(4.5, -13.0, 140.0), 9.5, vec3(3.0, -14.0, 78.0), 9.0);
    model.paint(FindingKind::AorticAneurysm.structure(), Tissue::THROMBUS, outer);
    model.paint("aorta", Tissue::ARTERY, vessel);
    model.paint("aorta", Tissue::ARTERY, lumen);
}

/// Farthest back and front of the pleura.
const BACK_MM: f32 = 99.0;
const FRONT_MM: f32 = -93.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plaque_leaves_the_lumen_it_says() {
        let course: Vec<(Vec3, f32)> = (0..=60).map(|n| (vec3(0.0, 0.0, n as f32), 2.0)).collect();
        let [plaque, lumen] = narrowed(&course, [20.0, 40.0], 70.0);
        let radius = |form: &Form, z: f32| {
            let steps = (0..400).map(|n| n as f32 * 0.01);
            steps.take_while(|x| form.distance(vec3(*x, 0.0, z)) < 0.0).count() as f32 * 0.01
        };
        assert!((radius(&lumen, 30.0) - 0.6).abs() < 0.05, "{}", radius(&lumen, 30.0));
        assert!(radius(&plaque, 30.0) > 2.6 && radius(&lumen, 22.0) > 1.7);
    }
}
