//! What can be asked of the phantom, and the person that follows from it.

use glam::{Affine3A, Mat3, Vec3, vec3};
use serde::Serialize;

use crate::body::Motion;
use crate::error::PhantomError;
use crate::findings::Finding;
use crate::imaging::Imaging;
use crate::noise::Stream;
use crate::phase::Phase;
use crate::variants::Variant;

/// What to make.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomOptions {
    /// Which person: organ size and position, pose and noise follow from it. [`PhantomOptions::REFERENCE_SEED`] is undisturbed.
    pub seed: u64,
    /// Sex, age and size.
    pub physique: Physique,
    /// How much organs differ from what the physique lets expect.
    pub variation: Variation,
    /// What runs otherwise than in most.
    pub variants: Vec<Variant>,
    /// What a disease has put there.
    pub findings: Vec<Finding>,
    /// Days since the first examination, in which findings may have grown or shrunk.
    pub day: f32,
    /// Contrast.
    pub phase: Phase,
    /// When in breath and heartbeat.
    pub motion: Motion,
    /// Millimetres between voxel centres along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// Standard deviation of the noise in the middle of the abdomen, in HU; 0 for none.
    pub noise_hu: f32,
    /// Whether the patient lies on a couch.
    pub couch: bool,
    /// Which images are made, and how.
    pub imaging: Imaging,
}

impl PhantomOptions {
    /// The seed of a person without deviations.
    pub const REFERENCE_SEED: u64 = 0;

    /// One of a population: sex, age, height and weight are drawn, and organs vary as they do among people.
    pub fn drawn(seed: u64) -> Self {
        let physique = Physique::drawn(seed);
        Self { seed, physique, variation: Variation::Population, variants: Variant::drawn(seed), ..Self::default() }
    }
}

impl Default for PhantomOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            physique: Physique::REFERENCE,
            variation: Variation::Slight,
            variants: Vec::new(),
            findings: vec![Finding::default()],
            day: 0.0,
            phase: Phase::Portal,
            motion: Motion::default(),
            spacing_mm: [0.8, 0.8, 1.5],
            noise_hu: 11.0,
            couch: true,
            imaging: Imaging::default(),
        }
    }
}

/// Decides on organs and reference sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Uterus, breasts.
    Female,
    /// Prostate.
    Male,
}

impl Sex {
    /// As DICOM writes it (PS3.3, C.7.1.1).
    pub const fn code(self) -> &'static str {
        match self {
            Self::Female => "F",
            Self::Male => "M",
        }
    }
}

/// How much organs differ between two people of one physique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variation {
    /// About a hundredth in length.
    Slight,
    /// As among adults; see [`organ_spread`].
    Population,
}

/// Sex, age and size of a person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Physique {
    /// Sex.
    pub sex: Sex,
    /// Age in years.
    pub age_years: f32,
    /// Stature in cm.
    pub height_cm: f32,
    /// Weight in kg.
    pub weight_kg: f32,
}

/// Least and greatest age, height and weight.
const AGE_YEARS: [f32; 2] = [18.0, 95.0];
const HEIGHT_CM: [f32; 2] = [140.0, 205.0];
const WEIGHT_KG: [f32; 2] = [38.0, 160.0];
const BODY_MASS_INDEX: [f32; 2] = [16.0, 42.0];

impl Physique {
    /// The reference adult male of ICRP Publication 89 (2002), after whom the shapes are drawn.
    pub const REFERENCE: Self = Self { sex: Sex::Male, age_years: 35.0, height_cm: 176.0, weight_kg: 73.0 };
    /// The reference adult female of the same.
    pub const REFERENCE_FEMALE: Self = Self { sex: Sex::Female, age_years: 35.0, height_cm: 163.0, weight_kg: 60.0 };

    /// The reference adult of a sex.
    pub const fn reference(sex: Sex) -> Self {
        match sex {
            Sex::Female => Self::REFERENCE_FEMALE,
            Sex::Male => Self::REFERENCE,
        }
    }

    /// Drawn from adults: statures of British men (1740 mm, standard deviation 70) and women (1610, 62) after Pheasant and
    /// Haslegrave, Bodyspace, 3rd ed. 2006; body mass indices of 26 ± 4, our rounding of European surveys; ages of 20 to 90.
    pub fn drawn(seed: u64) -> Self {
        let mut draw = Stream::new(seed, "physique");
        let sex = if draw.uniform() < 0.5 { Sex::Female } else { Sex::Male };
        let (mean, deviation) = if sex == Sex::Male { (174.0, 7.0) } else { (161.0, 6.2) };
        let height_cm = mean + deviation * draw.normal();
        let index = (26.0 + 4.0 * draw.normal()).clamp(18.0, 36.0);
        let age_years = draw.between(20.0, 90.0).round();
        let weight_kg = index * (height_cm / 100.0).powi(2);
        Self { sex, age_years, height_cm: height_cm.round(), weight_kg: weight_kg.round() }
    }

    /// # Errors
    /// [`PhantomError::Person`] for what no body of ours can be.
    pub fn check(&self) -> Result<(), PhantomError> {
        let index = self.weight_kg / (self.height_cm / 100.0).powi(2);
        for (what, unit, found, range) in [
            ("age", "years", self.age_years, AGE_YEARS),
            ("height", "cm", self.height_cm, HEIGHT_CM),
            ("weight", "kg", self.weight_kg, WEIGHT_KG),
            ("body mass index (weight over height squared)", "kg/m²", index, BODY_MASS_INDEX),
        ] {
            if !(range[0]..=range[1]).contains(&found) {
                return Err(PhantomError::Person { what, unit, found, range });
            }
        }
        Ok(())
    }

    /// Skin in m² after Du Bois and Du Bois, Arch Intern Med 1916; 17: 863.
    fn body_surface_m2(&self) -> f32 {
        0.007_184 * self.height_cm.powf(0.725) * self.weight_kg.powf(0.425)
    }

    /// Fat under the skin beyond that of the reference adults' body mass index, in mm.
    ///
    /// Of weight gained four fifths are fat, of fat three quarters lie under the skin (ICRP Publication 89, 2002, 8.2; our rounding),
    /// at 0.92 g/ml over the whole skin.
    fn fat_mm(&self) -> f32 {
        let reference = Self::reference(self.sex);
        let index = reference.weight_kg / (reference.height_cm / 100.0).powi(2);
        let gained_kg = self.weight_kg - index * (self.height_cm / 100.0).powi(2);
        0.8 * 0.75 * gained_kg / (0.92 * self.body_surface_m2())
    }

    /// Volume of an organ over that of the reference man.
    ///
    /// Sexes after the masses of ICRP Publication 89 (2002), table 2.8; within a sex in proportion to body surface, as Vauthey et al.
    /// (Liver Transpl 2002; 8: 233) found for the liver; kidneys shrink from the fifties on (Emamian et al., AJR 1993; 160: 83).
    fn organ_share(&self, organ: &str) -> f32 {
        let female = match organ {
            "liver" => 1400.0 / 1800.0,
            "spleen" => 130.0 / 150.0,
            "kidney_left" | "kidney_right" => 275.0 / 310.0,
            "pancreas" => 120.0 / 140.0,
            "stomach" => 370.0 / 400.0,
            "gallbladder" => 56.0 / 68.0,
            "urinary_bladder" => 240.0 / 250.0,
            "heart" => 620.0 / 840.0,
            _ => (163.0f32 / 176.0).powi(3),
        };
        let sex = if self.sex == Sex::Female { female } else { 1.0 };
        let size = self.body_surface_m2() / Self::reference(self.sex).body_surface_m2();
        let age = if organ.starts_with("kidney") { 1.0 - 0.006 * (self.age_years - 50.0).max(0.0) } else { 1.0 };
        sex * size * age
    }
}

/// Standard deviation of the length of an organ among adults of one sex and size, as a part of it: a third of that of the volume.
///
/// Volumes vary by 15 % (liver), 30 % (spleen), 14 % (kidney), 21 % (pancreas), 13 % (heart); hollow organs by what they hold.
/// Rounded from what the sources of `docs/phantom.md` give.
pub fn organ_spread(organ: &str) -> f32 {
    match organ {
        "liver" => 0.05,
        "spleen" => 0.10,
        "kidney_left" | "kidney_right" => 0.047,
        "pancreas" => 0.07,
        "stomach" => 0.07,
        "gallbladder" | "urinary_bladder" => 0.10,
        "heart" => 0.043,
        _ => 0.012,
    }
}

/// What makes up, in length, for what neighbours cut off an organ on average over a population.
fn fit(organ: &str) -> f32 {
    match organ {
        "heart" => 1.045,
        "liver" => 1.04,
        "spleen" => 1.09,
        _ => 1.0,
    }
}

/// Deviations of one person from the reference adult.
#[derive(Clone, Debug)]
pub struct Person {
    seed: u64,
    physique: Physique,
    variation: Variation,
    variants: Vec<Variant>,
    /// Stature over that of the reference man.
    stature: f32,
    lps_from_body: Affine3A,
}

impl Person {
    /// The person that options describe.
    pub fn new(options: &PhantomOptions) -> Self {
        let (seed, physique, variation) = (options.seed, options.physique, options.variation);
        let stature = physique.height_cm / Physique::REFERENCE.height_cm;
        let lps_from_body = if seed == PhantomOptions::REFERENCE_SEED {
            Affine3A::from_scale(Vec3::splat(stature))
        } else {
            let mut draw = Stream::new(seed, "body");
            let size = draw.normal() * 0.012;
            let scale = vec3(1.0 + size + draw.normal() * 0.012, 1.0 + size + draw.normal() * 0.012, 1.0 + size);
            let turn = Mat3::from_rotation_z(draw.normal() * 0.012) * Mat3::from_rotation_y(draw.normal() * 0.006);
            let shift = vec3(draw.normal() * 3.0, draw.normal() * 3.0, draw.normal() * 3.0);
            Affine3A::from_mat3_translation(turn * Mat3::from_diagonal(scale * stature), shift)
        };
        Self { seed, physique, variation, variants: options.variants.clone(), stature, lps_from_body }
    }

    /// Sex, age and size.
    pub fn physique(&self) -> Physique {
        self.physique
    }

    /// Whether something runs otherwise.
    pub fn has(&self, variant: Variant) -> bool {
        self.variants.contains(&variant)
    }

    /// From the reference frame of the shapes (origin: middle of the upper end plate of S1) to LPS mm.
    pub fn lps_from_body(&self) -> Affine3A {
        self.lps_from_body
    }

    /// HU that trabecular bone has beyond that of a 35-year-old: it loses 2.5 HU a year (Jang et al., Radiology 2019; 291: 360,
    /// first lumbar vertebra, 20 000 adults), and never more than leaves marrow.
    pub fn bone_loss_hu(&self) -> f32 {
        2.5 * (self.physique.age_years - Physique::REFERENCE.age_years).min(58.0)
    }

    /// What the radius of the aorta has gained since the age of 35, in mm: 0.9 mm of diameter in ten years in men, 0.7 mm in women
    /// (Erbel et al., Eur Heart J 2014; 35: 2873).
    pub fn aorta_gain_mm(&self) -> f32 {
        let of_ten_years = if self.physique.sex == Sex::Male { 0.9 } else { 0.7 };
        of_ten_years / 20.0 * (self.physique.age_years - Physique::REFERENCE.age_years)
    }

    /// Stature over that of the reference man, by which the frame of the shapes is scaled.
    pub fn stature(&self) -> f32 {
        self.stature
    }

    /// Fat under the skin beyond the reference adult's, in mm of the frame of the shapes; negative for the lean.
    pub fn fat_mm(&self) -> f32 {
        (self.physique.fat_mm() / self.stature).max(-4.5)
    }

    /// Linear scale and shift in mm of one organ; `shift_mm` is a typical displacement.
    pub fn organ(&self, name: &str, shift_mm: f32) -> (f32, Vec3) {
        let expected = (self.physique.organ_share(name) / self.stature.powi(3)).cbrt();
        if self.seed == PhantomOptions::REFERENCE_SEED {
            return (expected, Vec3::ZERO);
        }
        let mut draw = Stream::new(self.seed, name);
        let (spread, fit) = match self.variation {
            Variation::Slight => (0.012, 1.0),
            Variation::Population => (organ_spread(name), fit(name)),
        };
        let scale = (1.0 + draw.normal() * spread) * expected * fit;
        (scale, vec3(draw.normal(), draw.normal(), draw.normal()) * shift_mm)
    }

    /// A stream of numbers of its own for one structure.
    pub fn stream(&self, name: &str) -> Stream {
        Stream::new(self.seed, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_adult_is_undisturbed() {
        let options = PhantomOptions { seed: PhantomOptions::REFERENCE_SEED, ..Default::default() };
        let person = Person::new(&options);
        assert!(person.lps_from_body().abs_diff_eq(Affine3A::IDENTITY, 1e-6));
        assert_eq!(person.fat_mm(), 0.0);
        for organ in ["liver", "spleen", "kidney_left", "heart", "elsewhere"] {
            let (scale, shift) = person.organ(organ, 3.0);
            assert!((scale - 1.0).abs() < 1e-6 && shift == Vec3::ZERO, "{organ} is scaled by {scale}");
        }
    }

    #[test]
    fn a_population_is_drawn_as_published() {
        let people: Vec<Physique> = (1..=400).map(Physique::drawn).collect();
        for sex in [Sex::Female, Sex::Male] {
            let heights: Vec<f32> = people.iter().filter(|p| p.sex == sex).map(|p| p.height_cm).collect();
            let mean = heights.iter().sum::<f32>() / heights.len() as f32;
            let expected = if sex == Sex::Male { 174.0 } else { 161.0 };
            assert!(heights.len() > 160 && (mean - expected).abs() < 1.5, "{} of {mean} cm", heights.len());
        }
        assert!(people.iter().all(|p| p.check().is_ok()));
    }

    #[test]
    fn impossible_people_are_refused() {
        let refused = |p: Physique| p.check().unwrap_err().to_string();
        let short = refused(Physique { height_cm: 90.0, ..Physique::REFERENCE });
        assert!(short.contains("height") && short.contains("140") && short.contains("90"), "{short}");
        let wide = refused(Physique { weight_kg: 150.0, height_cm: 150.0, ..Physique::REFERENCE });
        assert!(wide.contains("body mass index"), "{wide}");
        assert!(refused(Physique { age_years: f32::NAN, ..Physique::REFERENCE }).contains("age"));
    }
}
