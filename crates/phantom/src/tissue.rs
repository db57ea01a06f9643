//! What X-rays see: Hounsfield units of each tissue in the portal venous phase.
//!
//! Sources, all for 120 kV: bone, muscle, fat and lung after ICRU Report 44 and 46 compositions as tabulated by Schneider et
//! al. (Phys Med Biol 1996; 41: 111); enhancement about 70 s after injection after Bae (Radiology 2010; 256: 32).

use glam::Vec3;

use crate::noise::texture;

/// How a structure appears in CT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tissue {
    /// Even but for a soft mottle of `mottle` HU.
    Soft {
        /// Mean HU.
        hu: f32,
        /// Amplitude of the mottle in HU.
        mottle: f32,
    },
    /// Muscle with strands of fat.
    Muscle,
    /// A bright rind round trabecular bone.
    Bone {
        /// Thickness of the rind in mm.
        cortex_mm: f32,
        /// HU of the rind.
        cortical: f32,
        /// Mean HU within.
        spongy: f32,
    },
    /// Aerated lung, denser towards the back of a patient who lies on it.
    Lung,
    /// Splenic pulp.
    Spleen,
    /// A hollow organ: an enhancing wall round its content, gas lying on fluid where there is gas.
    Hollow {
        /// Thickness of the wall in mm.
        wall_mm: f32,
        /// HU of the content.
        content: f32,
        /// The y in mm in front of which there is gas (anterior is negative); −∞ for none.
        gas_before: f32,
    },
    /// Bowel with gas pockets and mixed content along its way.
    Bowel {
        /// Thickness of the wall in mm.
        wall_mm: f32,
        /// Mean HU of the content.
        content: f32,
        /// Share of the way filled with gas, 0–1.
        gas: f32,
    },
    /// A lesion that fades towards a rim.
    Lesion {
        /// HU in the middle.
        core: f32,
        /// HU of the rim.
        rim: f32,
        /// Thickness of the rim in mm.
        rim_mm: f32,
    },
}

/// Air, by definition of the scale.
pub(crate) const AIR: f32 = -1000.0;

const fn soft(hu: f32, mottle: f32) -> Tissue {
    Tissue::Soft { hu, mottle }
}

impl Tissue {
    /// A double layer of pleura.
    pub const FISSURE: Self = soft(-420.0, 60.0);
    /// The wall of an airway.
    pub const AIRWAY: Self = soft(30.0, 0.0);
    /// What an airway holds.
    pub const AIR: Self = soft(AIR, 0.0);
    /// Epidermis and dermis.
    pub const SKIN: Self = soft(25.0, 8.0);
    /// Subcutaneous and visceral fat.
    pub const FAT: Self = soft(-102.0, 7.0);
    /// Hyaline cartilage, partly calcified.
    pub const CARTILAGE: Self = soft(105.0, 25.0);
    /// Intervertebral disc.
    pub const DISC: Self = soft(85.0, 8.0);
    /// Cerebrospinal fluid with roots and epidural fat.
    pub const CANAL: Self = soft(12.0, 6.0);
    /// Spinal cord.
    pub const CORD: Self = soft(42.0, 3.0);
    /// Arterial blood in the portal venous phase.
    pub const ARTERY: Self = soft(152.0, 2.0);
    /// Systemic venous blood above the renal veins.
    pub const VEIN: Self = soft(138.0, 3.0);
    /// Portal and hepatic venous blood.
    pub const PORTAL: Self = soft(172.0, 2.0);
    /// Blood in the heart and lungs.
    pub const HEART_BLOOD: Self = soft(148.0, 3.0);
    /// Enhancing myocardium.
    pub const MYOCARDIUM: Self = soft(108.0, 5.0);
    /// Leaflets of a valve.
    pub const VALVE: Self = soft(85.0, 3.0);
    /// Liver parenchyma.
    pub const LIVER: Self = soft(110.0, 5.0);
    /// Renal cortex, still brighter than the pyramids.
    pub const CORTEX: Self = soft(195.0, 4.0);
    /// Renal pyramids.
    pub const MEDULLA: Self = soft(168.0, 4.0);
    /// Urine before contrast reaches it, with the thin wall that holds it.
    pub const URINE: Self = soft(22.0, 4.0);
    /// Bile ducts with their walls.
    pub const DUCT: Self = soft(20.0, 3.0);
    /// Pancreas with its lobulation.
    pub const PANCREAS: Self = soft(92.0, 16.0);
    /// Adrenal.
    pub const ADRENAL: Self = soft(62.0, 4.0);
    /// Thyroid.
    pub const THYROID: Self = soft(175.0, 10.0);
    /// Prostate.
    pub const PROSTATE: Self = soft(55.0, 10.0);
    /// Myometrium, enhancing.
    pub const UTERUS: Self = soft(102.0, 9.0);
    /// Plaque, soft and calcified by turns.
    pub const PLAQUE: Self = soft(260.0, 210.0);
    /// Clotted blood.
    pub const THROMBUS: Self = soft(45.0, 8.0);
    /// Fluid in the chest.
    pub const EFFUSION: Self = soft(11.0, 3.0);
    /// Bile.
    pub const BILE: Self = Self::Hollow { wall_mm: 1.6, content: 8.0, gas_before: f32::NEG_INFINITY };
    /// Urine in a distended bladder.
    pub const BLADDER: Self = Self::Hollow { wall_mm: 3.0, content: 6.0, gas_before: f32::NEG_INFINITY };
    /// Stems and heads of prostheses; CT clips it.
    pub const COBALT_CHROME: Self = soft(20_000.0, 0.0);
    /// Screws and cups; CT clips it.
    pub const TITANIUM: Self = soft(8_000.0, 0.0);
    /// The liner of a cup.
    pub const POLYETHYLENE: Self = soft(-80.0, 0.0);
    /// Vertebrae and other mostly trabecular bone.
    pub const VERTEBRA: Self = Self::Bone { cortex_mm: 1.1, cortical: 620.0, spongy: 185.0 };
    /// Ribs, clavicles, scapulae.
    pub const FLAT_BONE: Self = Self::Bone { cortex_mm: 1.3, cortical: 780.0, spongy: 165.0 };
    /// Pelvis and sacrum.
    pub const PELVIS: Self = Self::Bone { cortex_mm: 1.8, cortical: 760.0, spongy: 170.0 };
    /// Femur and humerus.
    pub const LONG_BONE: Self = Self::Bone { cortex_mm: 3.2, cortical: 1250.0, spongy: 160.0 };

    /// Whether HU changes with depth.
    pub fn is_layered(&self) -> bool {
        !matches!(self, Self::Soft { .. } | Self::Muscle | Self::Lung | Self::Spleen)
    }

    /// What is at a point `depth` mm below the surface, in the same places as [`Self::hounsfield`] has it.
    pub(crate) fn mixture(&self, p: Vec3, depth: f32) -> Mixture {
        match *self {
            Self::Soft { .. } => Mixture { mottle: texture(p, 4.5, 1), ..Mixture::default() },
            // As much fat as takes 70 of the 165 HU between muscle and fat.
            Self::Muscle => Mixture { fat: 0.42 * strands(p), mottle: texture(p, 6.0, 3), ..Mixture::default() },
            Self::Bone { cortex_mm, .. } => {
                Mixture { rind: rind(cortex_mm, depth), mottle: texture(p, 7.0, 5), ..Mixture::default() }
            }
            Self::Lung => Mixture { mottle: texture(p, 11.0, 8), ..Mixture::default() },
            Self::Spleen => Mixture { mottle: texture(p, 6.0, 1), ..Mixture::default() },
            Self::Hollow { wall_mm, gas_before, .. } => Mixture {
                rind: smooth_step(wall_mm - depth + 0.5),
                gas: if p.y < gas_before { 1.0 } else { 0.0 },
                fat: 0.0,
                mottle: texture(p, 5.0, 10),
            },
            Self::Bowel { wall_mm, gas, .. } => Mixture {
                rind: smooth_step(wall_mm - depth + 0.5),
                gas: pocket(p, gas),
                fat: 0.0,
                mottle: texture(p, 5.0, 12),
            },
            Self::Lesion { rim_mm, .. } => {
                let edge = smooth_step((rim_mm - depth) / rim_mm + 0.5);
                Mixture { rind: edge, mottle: texture(p, 4.0, 14), ..Mixture::default() }
            }
        }
    }

    /// HU at a point `depth` mm below the surface (positive inside).
    pub fn hounsfield(&self, p: Vec3, depth: f32) -> f32 {
        match *self {
            Self::Soft { hu, mottle } => hu + mottle * texture(p, 4.5, 1),
            Self::Muscle => 63.0 + 4.0 * texture(p, 6.0, 3) - 70.0 * strands(p),
            Self::Bone { cortex_mm, cortical, spongy } => {
                let inner = spongy + 75.0 * texture(p, 2.2, 4) + 35.0 * texture(p, 7.0, 5);
                let rind = rind(cortex_mm, depth);
                inner + (cortical * (1.0 + 0.08 * texture(p, 6.0, 6)) - inner) * rind
            }
            Self::Lung => {
                let gravity = p.y * 0.28;
                let lobules = 14.0 * texture(p, 3.0, 7) + 18.0 * texture(p, 11.0, 8);
                -868.0 + gravity + lobules
            }
            Self::Spleen => 120.0 + 5.0 * texture(p, 6.0, 1),
            Self::Hollow { wall_mm, content, gas_before } => {
                let inside = if p.y < gas_before { AIR + 15.0 } else { content + 6.0 * texture(p, 5.0, 10) };
                walled(depth, wall_mm, 82.0, inside)
            }
            Self::Bowel { wall_mm, content, gas } => {
                let pocket = pocket(p, gas);
                let mixed = content + 22.0 * texture(p, 5.0, 12) - 90.0 * (texture(p, 2.6, 13) - 0.72).max(0.0);
                walled(depth, wall_mm, 95.0, mixed + (AIR + 20.0 - mixed) * pocket)
            }
            Self::Lesion { core, rim, rim_mm } => {
                let edge = smooth_step((rim_mm - depth) / rim_mm + 0.5);
                core + (rim - core) * edge + 6.0 * texture(p, 4.0, 14)
            }
        }
    }
}

/// Share of the strands of fat between the bundles of a muscle.
fn strands(p: Vec3) -> f32 {
    let strand = texture(p * Vec3::new(1.0, 1.0, 0.22), 3.2, 2);
    ((strand - 0.64) * 5.0).clamp(0.0, 1.0)
}

/// Share of compact bone.
fn rind(cortex_mm: f32, depth: f32) -> f32 {
    smooth_step((cortex_mm + 0.6 - depth) / 1.2)
}

/// Share of gas in bowel of which a share is filled with it.
fn pocket(p: Vec3, gas: f32) -> f32 {
    let place = texture(p * Vec3::new(1.0, 0.0, 1.0), 34.0, 11) * 0.5 + 0.5;
    smooth_step((gas - place) * 9.0 + 0.5)
}

/// What a tissue is made of at a point.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixture {
    /// Share of wall, cortex or rim, 0–1.
    pub(crate) rind: f32,
    /// Share of gas in what is within.
    pub(crate) gas: f32,
    /// Share of strands of fat.
    pub(crate) fat: f32,
    /// Unevenness, −1 to 1.
    pub(crate) mottle: f32,
}

/// A wall round something, with an edge about 1 mm soft.
fn walled(depth: f32, wall_mm: f32, wall: f32, inside: f32) -> f32 {
    inside + (wall - inside) * smooth_step(wall_mm - depth + 0.5)
}

/// 0 below 0, 1 above 1, smooth between.
pub(crate) fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
