//! What tissues are made of, for scanners that see something else than density.

use glam::Vec3;

use crate::body::{Layer, Structure};
use crate::raster::Appearance;
use crate::tissue::Tissue;

/// Material that one scanner's table has a value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Substance {
    Gas,
    Lung,
    Fat,
    Muscle,
    /// Compact bone, stones.
    Cortex,
    Marrow,
    Cartilage,
    Disc,
    /// Cerebrospinal fluid, effusions, cysts.
    Fluid,
    Urine,
    Bile,
    Cord,
    /// Fast blood: arteries, heart, lung.
    Blood,
    /// Slow blood.
    VenousBlood,
    Myocardium,
    Liver,
    Spleen,
    KidneyCortex,
    KidneyMedulla,
    Pancreas,
    /// Thyroid, adrenals.
    Gland,
    Prostate,
    Uterus,
    /// Walls of hollow organs, skin.
    Wall,
    /// What is in stomach and bowel.
    Content,
    Tumor,
    /// The middle of a tumour that has outgrown its vessels.
    Necrosis,
    /// Tumour in aerated lung.
    GroundGlass,
    Thrombus,
    Metal,
    Plastic,
}

/// Tissues of one substance.
const EVEN: [(Tissue, Substance); 33] = [
    (Tissue::FISSURE, Substance::Lung),
    (Tissue::AIRWAY, Substance::Wall),
    (Tissue::AIR, Substance::Gas),
    (Tissue::SKIN, Substance::Wall),
    (Tissue::FAT, Substance::Fat),
    (Tissue::CARTILAGE, Substance::Cartilage),
    (Tissue::DISC, Substance::Disc),
    (Tissue::CANAL, Substance::Fluid),
    (Tissue::CORD, Substance::Cord),
    (Tissue::ARTERY, Substance::Blood),
    (Tissue::VEIN, Substance::VenousBlood),
    (Tissue::PORTAL, Substance::VenousBlood),
    (Tissue::HEART_BLOOD, Substance::Blood),
    (Tissue::MYOCARDIUM, Substance::Myocardium),
    (Tissue::VALVE, Substance::Wall),
    (Tissue::LIVER, Substance::Liver),
    (Tissue::Spleen, Substance::Spleen),
    (Tissue::CORTEX, Substance::KidneyCortex),
    (Tissue::MEDULLA, Substance::KidneyMedulla),
    (Tissue::URINE, Substance::Urine),
    (Tissue::DUCT, Substance::Bile),
    (Tissue::PANCREAS, Substance::Pancreas),
    (Tissue::ADRENAL, Substance::Gland),
    (Tissue::THYROID, Substance::Gland),
    (Tissue::PROSTATE, Substance::Prostate),
    (Tissue::UTERUS, Substance::Uterus),
    (Tissue::THROMBUS, Substance::Thrombus),
    (Tissue::PLAQUE, Substance::Thrombus),
    (Tissue::EFFUSION, Substance::Fluid),
    (Tissue::COBALT_CHROME, Substance::Metal),
    (Tissue::TITANIUM, Substance::Metal),
    (Tissue::POLYETHYLENE, Substance::Plastic),
    (Tissue::Lung, Substance::Lung),
];

/// What a tissue holds within, and what its rind is made of.
pub(crate) fn made_of(name: &str, tissue: Tissue) -> [Substance; 2] {
    use Substance as S;
    if let Some((_, substance)) = EVEN.iter().find(|(t, _)| *t == tissue) {
        return [*substance; 2];
    }
    match tissue {
        Tissue::Muscle => [S::Muscle; 2],
        Tissue::Bone { .. } if name == "gallstones" => [S::Cortex; 2],
        // Marrow of the limbs is yellow in adults.
        Tissue::Bone { .. } if tissue == Tissue::LONG_BONE => [S::Fat, S::Cortex],
        Tissue::Bone { .. } => [S::Marrow, S::Cortex],
        Tissue::Hollow { .. } if name == "gallbladder" => [S::Bile, S::Wall],
        Tissue::Hollow { .. } if name == "urinary_bladder" => [S::Urine, S::Wall],
        Tissue::Hollow { .. } | Tissue::Bowel { .. } => [S::Content, S::Wall],
        Tissue::Lesion { .. } => [S::Necrosis, S::Tumor],
        Tissue::Lung => [S::Lung; 2],
        Tissue::Spleen => [S::Spleen; 2],
        Tissue::Soft { hu, .. } if name.ends_with("_cyst") || (name.is_empty() && hu.abs() < 30.0) => [S::Fluid; 2],
        Tissue::Soft { hu, .. } if hu < -300.0 => [S::GroundGlass; 2],
        Tissue::Soft { hu, .. } if hu > 400.0 => [S::Cortex; 2],
        Tissue::Soft { hu, .. } if hu < -30.0 => [S::Fat; 2],
        Tissue::Soft { .. } => [S::Tumor; 2],
    }
}

/// Values of all tissues of a body for one scanner.
pub(crate) struct Values {
    /// By label, 0 for layers without one: tissues with the values within and of the rind.
    of_label: Vec<Vec<(Tissue, [f32; 2])>>,
    gas: f32,
    fat: f32,
    point_spread_mm: f32,
    /// Amplitude of the unevenness, as a part of the value.
    mottle: f32,
}

impl Values {
    pub(crate) fn new(
        layers: &[Layer],
        structures: &[Structure],
        point_spread_mm: f32,
        mottle: f32,
        value: impl Fn(Substance) -> f32,
    ) -> Self {
        let mut of_label: Vec<Vec<(Tissue, [f32; 2])>> = Vec::new();
        for layer in layers {
            let crate::body::Cover::Solid(tissue) = layer.cover else { continue };
            let label = usize::from(layer.label.unwrap_or(volume::BACKGROUND));
            let name = structures.iter().find(|s| Some(s.label) == layer.label).map_or("", |s| s.name.as_str());
            if of_label.len() <= label {
                of_label.resize_with(label + 1, Vec::new);
            }
            if of_label[label].iter().all(|(t, _)| *t != tissue) {
                of_label[label].push((tissue, made_of(name, tissue).map(&value)));
            }
        }
        Self { of_label, gas: value(Substance::Gas), fat: value(Substance::Fat), point_spread_mm, mottle }
    }

    pub(crate) fn at(&self, layer: &Layer, tissue: Tissue, p: Vec3, depth: f32) -> f32 {
        let known = self.of_label.get(usize::from(layer.label.unwrap_or(volume::BACKGROUND)));
        let found = known.and_then(|tissues| tissues.iter().find(|(t, _)| *t == tissue));
        let Some((_, [within, rind])) = found else { return self.gas };
        let mix = tissue.mixture(p, depth);
        let inside = within + (self.gas - within) * mix.gas;
        let walled = inside + (rind - inside) * mix.rind;
        (walled + (self.fat - walled) * mix.fat) * (1.0 + self.mottle * mix.mottle)
    }
}

impl Appearance for Values {
    type Voxel = f32;

    fn point_spread_mm(&self) -> f32 {
        self.point_spread_mm
    }

    fn air(&self) -> f32 {
        0.0
    }

    /// The couch neither answers nor decays.
    fn outside(&self, _: Vec3) -> f32 {
        0.0
    }

    fn inside(&self, layer: &Layer, tissue: Tissue, p: Vec3, depth: f32) -> f32 {
        self.at(layer, tissue, p, depth)
    }

    fn stored(value: f32) -> f32 {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Cover, Model};
    use crate::options::{Person, PhantomOptions};

    #[test]
    fn every_tissue_of_a_body_is_made_of_something_likely() {
        let findings = crate::FindingKind::ALL.map(|k| k.name().parse().unwrap());
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let model = Model::new(&Person::new(&options), &findings, 0.0).unwrap();
        for layer in model.layers() {
            let Cover::Solid(tissue) = layer.cover else { continue };
            let name = model.structures().iter().find(|s| Some(s.label) == layer.label).map_or("", |s| &s.name);
            let found = made_of(name, tissue);
            let expected = match name {
                "liver_lesion" | "kidney_tumor" => Some(Substance::Tumor),
                "liver_cyst" | "kidney_cyst" | "pleural_effusion" => Some(Substance::Fluid),
                "kidney_stone" | "gallstones" => Some(Substance::Cortex),
                "urinary_bladder" => Some(Substance::Wall),
                "liver_segment_4" => Some(Substance::Liver),
                "pneumothorax" => Some(Substance::Gas),
                _ => None,
            };
            assert!(expected.is_none_or(|e| e == found[1]), "{name} is made of {found:?}");
            let tumor = found.contains(&Substance::Tumor);
            assert!(!tumor || name.ends_with("lesion") || name.ends_with("tumor"), "{name} is no tumour: {tissue:?}");
        }
    }
}
