//! Transforms between frames, named `target_from_source`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Mul;

use glam::{DMat3, DMat4, DVec3};
use thiserror::Error;

use crate::frame::{Frame, Lps, Point, Scene, Vector};

/// Metres in a millimetre, by definition.
const METRES_PER_MM: f64 = 1e-3;

/// An affine map from frame `From` to frame `To`.
pub struct Affine<To, From> {
    /// The linear part.
    pub linear: DMat3,
    /// Where the source's zero lands, in the target's unit.
    pub translation: DVec3,
    frames: PhantomData<(To, From)>,
}

/// The linear part of a transform cannot be inverted.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("transform from {from} to {to} is singular: determinant {determinant}")]
pub struct SingularError {
    from: &'static str,
    to: &'static str,
    determinant: f64,
}

impl<To, From> Affine<To, From> {
    /// From a linear part and the image of the source's zero.
    pub const fn new(linear: DMat3, translation: DVec3) -> Self {
        Self { linear, translation, frames: PhantomData }
    }

    /// The map that leaves coordinates as they are.
    pub const fn identity() -> Self {
        Self::new(DMat3::IDENTITY, DVec3::ZERO)
    }

    /// As a homogeneous matrix of columns.
    pub fn to_mat4(self) -> DMat4 {
        let [x, y, z] = self.linear.to_cols_array_2d().map(DVec3::from_array);
        DMat4::from_cols(x.extend(0.0), y.extend(0.0), z.extend(0.0), self.translation.extend(1.0))
    }

    /// True if the map turns a right hand into a left one.
    pub fn mirrors(self) -> bool {
        self.linear.determinant() < 0.0
    }
}

impl<To: Frame, From: Frame> Affine<To, From> {
    /// The map back.
    ///
    /// # Errors
    /// [`SingularError`] if the linear part has no inverse.
    pub fn inverse(self) -> Result<Affine<From, To>, SingularError> {
        let determinant = self.linear.determinant();
        if determinant == 0.0 || !determinant.is_finite() {
            return Err(SingularError { from: From::NAME, to: To::NAME, determinant });
        }
        let linear = self.linear.inverse();
        Ok(Affine::new(linear, -(linear * self.translation)))
    }
}

impl<C, B, A> Mul<Affine<B, A>> for Affine<C, B> {
    type Output = Affine<C, A>;
    fn mul(self, inner: Affine<B, A>) -> Affine<C, A> {
        Affine::new(self.linear * inner.linear, self.linear * inner.translation + self.translation)
    }
}
impl<To, From> Mul<Point<From>> for Affine<To, From> {
    type Output = Point<To>;
    fn mul(self, point: Point<From>) -> Point<To> {
        (self.linear * point.get() + self.translation).into()
    }
}
impl<To, From> Mul<Vector<From>> for Affine<To, From> {
    type Output = Vector<To>;
    fn mul(self, vector: Vector<From>) -> Vector<To> {
        (self.linear * vector.get()).into()
    }
}

impl<To, From> Clone for Affine<To, From> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<To, From> Copy for Affine<To, From> {}
impl<To, From> PartialEq for Affine<To, From> {
    fn eq(&self, other: &Self) -> bool {
        self.linear == other.linear && self.translation == other.translation
    }
}
impl<To: Frame, From: Frame> fmt::Debug for Affine<To, From> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_from_{} {:?} + {}", To::NAME, From::NAME, self.linear.to_cols_array_2d(), self.translation)
    }
}

/// The one conversion from patient millimetres to scene metres: `(L, P, S) mm → (L, S, −P) / 1000`.
///
/// Its determinant is positive, so triangles keep their winding. glTF 2.0, 3.4: +Y up, +Z forward, metres.
pub fn scene_from_lps() -> Affine<Scene, Lps> {
    Affine::new(DMat3::from_cols(DVec3::X, DVec3::NEG_Z, DVec3::Y) * METRES_PER_MM, DVec3::ZERO)
}

/// The way back from scene metres to patient millimetres: `(x, y, z) m → (x, −z, y) · 1000`.
pub fn lps_from_scene() -> Affine<Lps, Scene> {
    Affine::new(DMat3::from_cols(DVec3::X, DVec3::Z, DVec3::NEG_Y) * (1.0 / METRES_PER_MM), DVec3::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Index;

    #[test]
    fn conversions_undo_each_other() {
        let p = Point::<Lps>::new(12.5, -80.0, 1400.0);
        let back = lps_from_scene() * (scene_from_lps() * p);
        assert!(back.distance(p) < 1e-9, "{back:?}");
        assert!(!scene_from_lps().mirrors());
    }

    #[test]
    fn patient_faces_z_with_left_on_x() {
        let to_scene = |l, p, s| (scene_from_lps() * Point::<Lps>::new(l, p, s)).get();
        assert_eq!(to_scene(1000.0, 0.0, 0.0), DVec3::X, "left");
        assert_eq!(to_scene(0.0, -1000.0, 0.0), DVec3::Z, "anterior");
        assert_eq!(to_scene(0.0, 0.0, 1000.0), DVec3::Y, "superior");
    }

    #[test]
    fn composition_applies_the_right_hand_side_first() {
        let lps_from_index =
            Affine::<Lps, Index>::new(DMat3::from_diagonal(DVec3::new(2.0, 2.0, 5.0)), DVec3::splat(10.0));
        let scene_from_index = scene_from_lps() * lps_from_index;
        let p = Point::new(1.0, 2.0, 3.0);
        assert!((scene_from_index * p).distance(scene_from_lps() * (lps_from_index * p)) < 1e-15);
        let back = scene_from_index.inverse().expect("regular");
        assert!((back * (scene_from_index * p)).distance(p) < 1e-9);
    }

    #[test]
    fn singular_is_refused() {
        let flat = Affine::<Lps, Index>::new(DMat3::from_diagonal(DVec3::new(1.0, 1.0, 0.0)), DVec3::ZERO);
        assert!(flat.inverse().is_err());
    }
}
