//! Frames and units as types: a point cannot be used in a frame it does not belong to.
//!
//! The core speaks [`Lps`] millimetres in `f64`; the scene and every GLB speak [`Scene`] metres. [`scene_from_lps`] is the
//! one conversion between them: `(L, P, S) mm → (L, S, −P) / 1000`, so the patient faces +Z and their left is +X.
//!
//! ```
//! use space::{Lps, Point, scene_from_lps};
//! let left_hand = Point::<Lps>::new(400.0, 0.0, 0.0);
//! assert_eq!((scene_from_lps() * left_hand).x, 0.4);
//! ```

mod affine;
mod anatomical;
mod frame;
mod unit;

pub use affine::{Affine, SingularError, lps_from_scene, scene_from_lps};
pub use anatomical::{AnatomicalDirection, AxisCode, ParseAxisCodeError};
pub use frame::{Frame, Index, Lps, Point, Scene, Vector};
pub use unit::{Hounsfield, Magnification, Metres, Millimetres};
