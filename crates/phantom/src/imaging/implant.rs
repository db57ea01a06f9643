//! Metal in the body.

use std::str::FromStr;

use glam::vec3;
use volume::Label;

use crate::body::{Cover, Layer, Side, Spine, Structure};
use crate::sdf::{Form, ball, half_space, rod, union, without};
use crate::tissue::Tissue;

/// What a surgeon has put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implant {
    /// Head and stem of cobalt-chrome in a titanium cup, left.
    HipLeft,
    /// The same, right.
    HipRight,
    /// Titanium screws through the pedicles of L4 and L5, joined by rods.
    PedicleScrews,
}

impl Implant {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::HipLeft, Self::HipRight, Self::PedicleScrews];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HipLeft => "hip-left",
            Self::HipRight => "hip-right",
            Self::PedicleScrews => "pedicle-screws",
        }
    }

    /// The structure of the truth that holds it.
    pub const fn structure(self) -> &'static str {
        match self {
            Self::HipLeft => "hip_prosthesis_left",
            Self::HipRight => "hip_prosthesis_right",
            Self::PedicleScrews => "pedicle_screws",
        }
    }

    fn parts(self) -> Vec<(Tissue, Form)> {
        match self {
            Self::HipLeft => hip(Side::Left),
            Self::HipRight => hip(Side::Right),
            Self::PedicleScrews => vec![(Tissue::TITANIUM, pedicle_screws())],
        }
    }
}

impl FromStr for Implant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|i| i.name() == text);
        found
            .ok_or_else(|| format!("no implant is called `{text}`; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Puts implants over everything else.
pub(crate) fn put_in(implants: &[Implant], layers: &mut Vec<Layer>, structures: &mut Vec<Structure>) {
    for (n, implant) in implants.iter().enumerate() {
        if implants[..n].contains(implant) {
            continue;
        }
        let last = structures.iter().map(|s| s.label).max().unwrap_or(0);
        let label: Label = last.saturating_add(1);
        structures.push(Structure { label, name: implant.structure().to_owned(), parts: Vec::new() });
        layers.extend(implant.parts().into_iter().map(|(tissue, form)| Layer {
            label: Some(label),
            cover: Cover::Solid(tissue),
            contrast_hu: 0.0,
            form,
        }));
    }
}

/// A head of 32 mm in a liner of polyethylene and a cup of 54 mm, on a stem that follows the femur's shaft.
fn hip(side: Side) -> Vec<(Tissue, Form)> {
    let at = |x: f32, y: f32, z: f32| side.at(x, y, z);
    // Middle of the femoral head in the body's frame, as `body/pelvis.rs` has it.
    let head = at(88.0, 6.0, -104.0);
    let opening = half_space(head, at(0.77, -0.25, -0.58)); // 45° of inclination, 15° of anteversion, rounded.
    let liner = ball(head, 24.5);
    let dome = without(ball(head, 27.0), vec![liner.clone()], 0.5);
    let cup = crate::sdf::intersection(vec![dome, opening.clone()], 0.5);
    let liner = crate::sdf::intersection(vec![liner, opening], 0.5);
    let shoulder = at(124.0, 14.0, -130.0);
    let metal = union(
        vec![
            ball(head, 16.0),
            rod(head, 6.5, shoulder, 8.0),
            rod(shoulder, 9.5, at(131.0, 12.0, -172.0), 7.5),
            rod(at(131.0, 12.0, -172.0), 7.5, at(130.0, 9.0, -250.0), 5.5),
        ],
        3.0,
    );
    vec![(Tissue::POLYETHYLENE, liner), (Tissue::TITANIUM, cup), (Tissue::COBALT_CHROME, metal)]
}

/// Screws of 6.5 mm that converge through the pedicles into the bodies of L4 and L5; rods of 5.5 mm join their heads.
fn pedicle_screws() -> Form {
    let spine = Spine::new();
    let levels: Vec<_> = spine.levels.iter().filter(|l| ["L4", "L5"].contains(&l.name)).collect();
    let mut forms = Vec::new();
    for side in Side::BOTH {
        let mut heads = Vec::new();
        for l in &levels {
            let (wall, up) = (l.depth / 2.0, l.height * 0.12);
            let entry = l.at(side, l.canal[0] / 2.0 + 7.5, wall + l.canal[1] * 0.95, up);
            let tip = l.at(side, l.width * 0.18, -wall * 0.5, up * 0.6);
            forms.push(rod(entry, 3.2, tip, 2.6));
            let head = entry + l.axes * vec3(side.sign() * 1.5, 7.0, 0.0);
            forms.push(rod(entry, 5.5, head, 6.0));
            heads.push(head + l.axes * vec3(0.0, 1.0, 0.0));
        }
        forms.extend(heads.windows(2).map(|pair| rod(pair[0], 2.75, pair[1], 2.75)));
    }
    union(forms, 0.8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Model;
    use crate::options::{Person, PhantomOptions};

    #[test]
    fn screws_keep_out_of_the_canal() {
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let model = Model::new(&Person::new(&options), &[], 0.0).unwrap();
        let canal = model.label("spinal_canal").unwrap();
        let screws = pedicle_screws();
        let bounds = screws.bounds();
        let size = (bounds.max - bounds.min) / 2.0;
        let mut inside = [0, 0];
        for n in 0..8000 {
            let p = bounds.min + vec3((n % 20) as f32, (n / 20 % 20) as f32, (n / 400) as f32) / 10.0 * size;
            if screws.distance(p) < 0.0 {
                inside[usize::from(model.label_at(p) == canal)] += 1;
            }
        }
        assert!(inside[0] > 100 && inside[1] == 0, "{inside:?}");
    }
}
