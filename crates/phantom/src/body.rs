//! The body as a list of layers: each solid covers what was painted before it.
//!
//! Frame: LPS millimetres with the origin in the middle of the upper end plate of S1. A voxel belongs to the last layer
//! whose solid holds its centre, so nothing overlaps and one order decides everything.

mod abdomen;
mod arbor;
mod bowel;
mod bronchi;
mod coronaries;
mod findings;
mod frame;
mod heart;
mod kidneys;
mod liver;
mod lung_vessels;
mod muscles;
mod pelvis;
mod pose;
mod ribs;
mod shoulder;
mod spine;
mod thorax;
mod valves;
mod vessels;
mod wall;

use glam::Vec3;
use volume::{BACKGROUND, Label};

use findings::Stage;
pub use frame::{Side, Spine, SpineLevel};
pub use pose::{Motion, Pose};
use thorax::{Cavities, LungTrees};

use crate::error::PhantomError;
use crate::findings::{Finding, FindingKind};
use crate::options::Person;
use crate::phase::Phase;
use crate::sdf::{Form, Shape};
use crate::tissue::Tissue;

/// What a layer does to what was painted before it.
#[derive(Clone, Copy, Debug)]
pub enum Cover {
    /// Covers it, and appears in CT as this.
    Solid(Tissue),
    /// Takes what belongs to this structure, and looks like it.
    Part(Label),
}

/// A solid of one structure and tissue.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The structure it belongs to; none for detail that shows in the scan but is no structure of its own.
    pub label: Option<Label>,
    /// What it does to the layers below.
    pub cover: Cover,
    /// HU that contrast adds beyond the portal phase.
    pub contrast_hu: f32,
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
const MANY: [&str; 24] = [
    "skeletal_muscle",
    "intercostal_muscles",
    "coronary_plaque",
    "carotid_plaque",
    "liver_lesion",
    "liver_cyst",
    "lung_lesion",
    "gallstones",
    "pleural_effusion",
    "pneumothorax",
    "thrombus",
    "torso_fat",
    "intervertebral_discs",
    "costal_cartilages",
    "diaphragm",
    "portal_vein_branches",
    "hepatic_vein",
    "hepatic_artery_branches",
    "intrahepatic_bile_ducts",
    "kidney_medulla_left",
    "kidney_medulla_right",
    "lung_vessels_left",
    "lung_vessels_right",
    "pulmonary_vein",
];

/// Muscles of the trunk's wall that have a name of their own, one on each side.
const WALL_MUSCLES: [&str; 9] = [
    "deltoid",
    "pectoralis_major",
    "trapezius",
    "latissimus_dorsi",
    "serratus_anterior",
    "rectus_abdominis",
    "external_oblique",
    "internal_oblique",
    "transversus_abdominis",
];

/// The layers of a body, outermost first.
#[derive(Clone, Debug, Default)]
pub struct Model {
    layers: Vec<Layer>,
    structures: Vec<Structure>,
}

impl Model {
    /// The body of a person with some findings, that many days after the first examination.
    ///
    /// # Errors
    /// [`PhantomError::Finding`] if there is no room for one.
    pub fn new(person: &Person, findings: &[Finding], day: f32) -> Result<Self, PhantomError> {
        let spine = Spine::new();
        let cavities = Cavities::reference();
        let (model, trees) = rayon::join(
            || Self::before_airways(person, &spine, cavities, findings, day),
            || LungTrees::grow(person, cavities),
        );
        let mut model = model?;
        thorax::paint_airways(&mut model, trees);
        let fracture = findings.iter().find(|f| f.kind == FindingKind::VertebralFracture);
        spine::paint(&mut model, &spine, fracture.map(|f| f.size / 100.0));
        ribs::paint(&mut model, &spine, &cavities.cage);
        shoulder::paint(&mut model);
        pelvis::paint(&mut model, person);
        findings::paint(&mut model, person, cavities, (findings, day), Stage::Last)?;
        model.gather();
        model.age(person.bone_loss_hu());
        Ok(model)
    }

    /// What is painted below the airways and the vessels of the lungs.
    fn before_airways(
        person: &Person,
        spine: &Spine,
        cavities: &Cavities,
        findings: &[Finding],
        day: f32,
    ) -> Result<Self, PhantomError> {
        let mut model = Self::default();
        wall::paint(&mut model, person);
        muscles::paint_wall(&mut model, cavities);
        muscles::paint_trunk(&mut model, spine);
        wall::paint_recesses(&mut model);
        thorax::paint(&mut model, person, spine, cavities);
        muscles::paint_deep(&mut model);
        let liver = abdomen::paint(&mut model, person, cavities);
        bowel::paint(&mut model, person, cavities);
        abdomen::paint_retroperitoneal(&mut model, person, cavities);
        pelvis::paint_genital(&mut model, person);
        heart::paint(&mut model, person);
        findings::paint(&mut model, person, cavities, (findings, day), Stage::BeforeVessels)?;
        liver::paint_vessels(&mut model, person, &liver);
        findings::grow(&mut model, liver.form(), (findings, day));
        vessels::paint(&mut model, person);
        valves::paint(&mut model, person);
        coronaries::paint(&mut model, person);
        Ok(model)
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
        self.label_below(p, self.layers.len())
    }

    /// As [`Self::label_at`], as if only the first layers had been painted.
    fn label_below(&self, p: Vec3, layers: usize) -> Label {
        let holds = |l: &Layer| l.label.is_some() && l.form.holds(p, 0.0);
        let Some(n) = self.layers[..layers].iter().rposition(holds) else { return BACKGROUND };
        let own = self.layers[n].label.unwrap_or(BACKGROUND);
        match self.layers[n].cover {
            Cover::Solid(_) => own,
            Cover::Part(of) => {
                let below = self.label_below(p, n);
                if below == of { own } else { below }
            }
        }
    }

    /// Whether nature makes a structure one piece.
    pub fn is_single(&self, label: Label) -> bool {
        let many = |s: &Structure| MANY.contains(&s.name.as_str());
        self.structures.iter().find(|s| s.label == label).is_some_and(|s| !many(s))
    }

    /// Covers what was there with a solid.
    fn paint(&mut self, name: &str, tissue: Tissue, form: Form) {
        let label = Some(self.name(name));
        self.layers.push(Layer { label, cover: Cover::Solid(tissue), contrast_hu: 0.0, form });
    }

    /// Gives part of a structure to another.
    fn divide(&mut self, of: &str, name: &str, form: Form) {
        let cover = Cover::Part(self.name(of));
        let label = Some(self.name(name));
        self.layers.push(Layer { label, cover, contrast_hu: 0.0, form });
    }

    /// Shows in the scan without being a structure: fascia, fissures, twigs.
    fn shade(&mut self, tissue: Tissue, form: Form) {
        self.layers.push(Layer { label: None, cover: Cover::Solid(tissue), contrast_hu: 0.0, form });
    }

    /// As [`Self::paint`], moved and scaled by the person's deviation of that organ.
    fn paint_of(&mut self, person: &Person, name: &str, shift_mm: f32, tissue: Tissue, form: &Form) {
        self.paint(name, tissue, place(person, name, shift_mm, form));
    }

    /// Takes density from trabecular bone.
    fn age(&mut self, loss_hu: f32) {
        for layer in &mut self.layers {
            // Stones are no bone.
            if let Cover::Solid(Tissue::Bone { spongy, .. }) = &mut layer.cover
                && *spongy > 150.0
            {
                *spongy -= loss_hu;
            }
        }
    }

    /// Sets the phase of contrast.
    pub(crate) fn enhance(&mut self, phase: Phase) {
        let by_label: Vec<f32> =
            std::iter::once(0.0).chain(self.structures.iter().map(|s| phase.beyond_portal(&s.name))).collect();
        for layer in &mut self.layers {
            layer.contrast_hu = layer.label.map_or(0.0, |label| by_label[usize::from(label)]);
        }
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
        let vessels = ["portal_vein_branches", "hepatic_vein", "hepatic_artery_branches"];
        self.unite("liver_vessels", &vessels);
        let segments: Vec<String> = (1..=8).map(|n| format!("liver_segment_{n}")).collect();
        let mut liver: Vec<&str> = segments.iter().map(String::as_str).collect();
        liver.extend(vessels);
        liver.extend(["intrahepatic_bile_ducts", "liver_lesion", "liver_cyst"]);
        self.unite("liver", &liver);
        for side in ["left", "right"] {
            let name = |part: &str| format!("{part}_{side}");
            let parts = ["kidney_cortex", "kidney_medulla", "renal_pelvis"].map(name);
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.unite(&format!("kidney_{side}"), &parts);
            let name = |part: &str| format!("lung_{part}_{side}");
            let parts = ["upper_lobe", "middle_lobe", "lower_lobe", "vessels"].map(name);
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.unite(&format!("lung_{side}"), &parts);
        }
        self.unite("airways", &["trachea", "bronchus_left", "bronchus_right"]);
        let muscles = WALL_MUSCLES.iter().flat_map(|m| ["left", "right"].map(|side| format!("{m}_{side}")));
        let muscles: Vec<String> = muscles.chain(["intercostal_muscles".to_owned()]).collect();
        self.unite("skeletal_muscle", &muscles.iter().map(String::as_str).collect::<Vec<_>>());
        self.unite(
            "heart",
            &[
                "heart_myocardium",
                "atrial_appendage_left",
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
