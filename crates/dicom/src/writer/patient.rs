//! People who do not exist.

use serde::{Deserialize, Serialize};

/// The identity written into files that this program makes up; no real person's belongs here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventedPatient {
    /// Family and given name, as `Family^Given`.
    pub name: String,
    /// Patient ID.
    pub id: String,
    /// `YYYYMMDD`.
    pub birth_date: String,
    /// `M`, `F` or `O`.
    pub sex: String,
    /// Accession number.
    pub accession: String,
}

const FAMILY: [&str; 12] = [
    "Atrium",
    "Brugnon",
    "Calvados",
    "Dornhecke",
    "Eskerhaus",
    "Fjordane",
    "Gantryl",
    "Hollowmere",
    "Isocentre",
    "Kernelius",
    "Lambdoid",
    "Marginalis",
];
const GIVEN: [(&str, &str); 8] = [
    ("Ada", "F"),
    ("Bertil", "M"),
    ("Celandine", "F"),
    ("Dorian", "M"),
    ("Elvira", "F"),
    ("Fabrice", "M"),
    ("Gudrun", "F"),
    ("Hjalmar", "M"),
];

impl InventedPatient {
    /// A made-up person; the same for the same seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = seed;
        let family = FAMILY[below(&mut draw, FAMILY.len())];
        let (given, sex) = GIVEN[below(&mut draw, GIVEN.len())];
        let (year, month, day) = (1930 + below(&mut draw, 70), 1 + below(&mut draw, 12), 1 + below(&mut draw, 28));
        Self {
            name: format!("{family}^{given}"),
            id: format!("INV{:07}", below(&mut draw, 10_000_000)),
            birth_date: format!("{year}{month:02}{day:02}"),
            sex: sex.to_owned(),
            accession: format!("ACC{:08}", below(&mut draw, 100_000_000)),
        }
    }
}

/// SplitMix64 (Steele et al. 2014), reduced to `0..n`.
fn below(state: &mut u64, n: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) % n as u64) as usize
}
