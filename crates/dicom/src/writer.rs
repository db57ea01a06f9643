//! Writing DICOM: the phantom's series, and segmentations of any series.

mod ct;
mod element;
mod mr;
mod patient;
mod pet;
mod series;
mod uid;

pub use ct::{CtOptions, write_ct_series};
pub use mr::{MrOptions, write_mr_series};
pub use patient::InventedPatient;
pub use pet::{PetOptions, RADIONUCLIDE_HALF_LIFE_S, write_pet_series};
pub use series::{SeriesOptions, SeriesReference};

pub(crate) use element::{Builder, code_item, decimal_strings, shortened, write_file};
pub(crate) use series::common_modules;
pub(crate) use uid::derived_uid;

/// Identifies this program in what it writes; `derived_uid(0, "implementation", 0)`.
pub(crate) const IMPLEMENTATION_CLASS_UID: &str = "2.25.322900912277236037373253327665915300297";

/// SH, at most 16 characters.
pub(crate) const IMPLEMENTATION_VERSION_NAME: &str = concat!("VESTIBULE ", env!("CARGO_PKG_VERSION"));

/// Manufacturer of everything this program writes.
pub(crate) const MANUFACTURER: &str = "Vestibule";

/// Required of every instance; a device that is software has none (PS3.3 C.7.5.2).
pub(crate) const DEVICE_SERIAL_NUMBER: &str = "0";
