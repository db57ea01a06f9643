//! The body as a list of layers: each solid covers what was painted before it.
//!
//! Frame: LPS millimetres with the origin in the middle of the upper end plate of S1. A voxel belongs to the last layer
//! whose solid holds its centre, so nothing overlaps and one order decides everything.

mod abdomen;
mod bowel;
mod bronchi;
mod coronaries;
mod frame;
mod heart;
mod lung_vessels;
mod muscles;
mod pelvis;
mod ribs;
mod shoulder;
mod spine;
mod thorax;
mod tree;
mod valves;
mod vessels;
mod wall;

use glam::Vec3;
use volume::{BACKGROUND, Label};

pub use frame::{Side, Spine, SpineLevel};

use crate::options::Person;
use crate::sdf::{Form, Shape};
use crate::tissue::Tissue;

/// A solid of one structure and tissue.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The structure it belongs to; none for detail that shows in the scan but is no structure of its own.
    pub label: Option<Label>,
    /// How it appears in CT.
    pub tissue: Tissue,
    /// Where it is.
    pub form: Form,
}

/// A structure with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Its number in the label map.
    pub label: Label,
    /// Machine name, as in `volume::terminology`.
    pub name: String,
    /// Structures that belong to it too.
    pub parts: Vec<Label>,
}

/// Structures of several pieces.
const MANY: [&str; 8] = [
    "torso_fat",
    "intervertebral_discs",
    "costal_cartilages",
    "diaphragm",
    "liver_vessels",
    "lung_vessels_left",
    "lung_vessels_right",
    "pulmonary_vein",
];

/// The layers of a body, outermost first.
#[derive(Clone, Debug, Default)]
pub struct Model {
    layers: Vec<Layer>,
    structures: Vec<Structure>,
}

impl Model {
    /// The body of a person.
    pub fn new(person: &Person) -> Self {
        let mut model = Self::default();
        let spine = Spine::new();
        let cavities = thorax::Cavities::new(&spine);
        wall::paint(&mut model);
        muscles::paint_trunk(&mut model, &spine);
        wall::paint_recesses(&mut model);
        thorax::paint(&mut model, &spine, &cavities);
        muscles::paint_deep(&mut model);
        abdomen::paint(&mut model, person, &cavities);
        bowel::paint(&mut model, person, &cavities);
        abdomen::paint_retroperitoneal(&mut model, person, &cavities);
        heart::paint(&mut model, person);
        vessels::paint(&mut model);
        valves::paint(&mut model, person);
        coronaries::paint(&mut model, person);
        thorax::paint_airways(&mut model, person, &cavities);
        spine::paint(&mut model, &spine);
        ribs::paint(&mut model, &spine, &cavities.cage);
        shoulder::paint(&mut model);
        pelvis::paint(&mut model);
        model.gather();
        model
    }

    /// Outermost first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// In order of their labels.
    pub fn structures(&self) -> &[Structure] {
        &self.structures
    }

    /// The label of a structure, if it exists.
    pub fn label(&self, name: &str) -> Option<Label> {
        self.structures.iter().find(|s| s.name == name).map(|s| s.label)
    }

    /// The structure that holds a point of the body's frame; 0 outside.
    pub fn label_at(&self, p: Vec3) -> Label {
        self.layers
            .iter()
            .rev()
            .find(|l| l.label.is_some() && l.form.distance(p) < 0.0)
            .and_then(|l| l.label)
            .unwrap_or(BACKGROUND)
    }

    /// Whether nature makes a structure one piece.
    pub fn is_single(&self, label: Label) -> bool {
        let many = |s: &Structure| MANY.contains(&s.name.as_str());
        self.structures.iter().find(|s| s.label == label).is_some_and(|s| !many(s))
    }

    /// Covers what was there with a solid.
    fn paint(&mut self, name: &str, tissue: Tissue, form: Form) {
        let label = Some(self.name(name));
        self.layers.push(Layer { label, tissue, form });
    }

    /// Shows in the scan without being a structure: fascia, fissures, twigs.
    fn shade(&mut self, tissue: Tissue, form: Form) {
        self.layers.push(Layer { label: None, tissue, form });
    }

    /// As [`Self::paint`], moved and scaled by the person's deviation of that organ.
    fn paint_of(&mut self, person: &Person, name: &str, shift_mm: f32, tissue: Tissue, form: &Form) {
        self.paint(name, tissue, place(person, name, shift_mm, form));
    }

    fn name(&mut self, name: &str) -> Label {
        if let Some(label) = self.label(name) {
            return label;
        }
        let label = Label::try_from(self.structures.len() + 1).unwrap_or(Label::MAX);
        self.structures.push(Structure { label, name: name.to_owned(), parts: Vec::new() });
        label
    }

    fn unite(&mut self, name: &str, parts: &[&str]) {
        let own = self.name(name);
        let parts: Vec<Label> = parts.iter().filter_map(|p| self.label(p)).collect();
        if let Some(structure) = self.structures.iter_mut().find(|s| s.label == own) {
            structure.parts = parts;
        }
    }

    /// Names the unions.
    fn gather(&mut self) {
        self.unite("liver", &["liver_lesion", "liver_vessels"]);
        for side in ["left", "right"] {
            let name = |part: &str| format!("lung_{part}_{side}");
            let parts = ["upper_lobe", "middle_lobe", "lower_lobe", "vessels"].map(name);
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.unite(&format!("lung_{side}"), &parts);
        }
        self.unite(
            "heart",
            &[
                "heart_myocardium",
                "heart_atrium_left",
                "heart_ventricle_left",
                "heart_atrium_right",
                "heart_ventricle_right",
                "heart_valve_aortic",
                "heart_valve_mitral",
                "heart_valve_pulmonary",
                "heart_valve_tricuspid",
            ],
        );
    }
}

/// A solid as a person has it.
fn place(person: &Person, name: &str, shift_mm: f32, form: &Form) -> Form {
    let (scale, shift) = person.organ(name, shift_mm);
    if scale == 1.0 && shift == Vec3::ZERO {
        return form.clone();
    }
    let b = form.bounds();
    Form::new(Shape::Placed { form: form.clone(), pivot: (b.min + b.max) * 0.5, shift, scale })
}
