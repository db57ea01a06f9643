//! Frames, and points and vectors that carry theirs.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Deref, DerefMut, Mul, Neg, Sub};

use glam::DVec3;
use serde::{Deserialize, Serialize};

/// A coordinate frame; implemented by the empty enums of this module only.
pub trait Frame: Copy + Send + Sync + 'static {
    /// The frame's name in debug output.
    const NAME: &'static str;
}

macro_rules! frame {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}
        impl Frame for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}

frame! {
    /// The patient frame of DICOM and ITK: x to the left, y to posterior, z to superior; millimetres.
    Lps
}
frame! {
    /// The frame of the walk and of every GLB: +Y up, the patient faces +Z, their left is +X; metres.
    Scene
}
frame! {
    /// Continuous voxel index: column, row, slice; a voxel's centre lies at the integer.
    Index
}

/// A position in frame `F`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point<F> {
    coordinates: DVec3,
    #[serde(skip)]
    frame: PhantomData<F>,
}

/// A difference of two points in frame `F`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vector<F> {
    coordinates: DVec3,
    #[serde(skip)]
    frame: PhantomData<F>,
}

macro_rules! coordinates {
    ($name:ident) => {
        impl<F> $name<F> {
            /// All coordinates zero.
            pub const ZERO: Self = Self::from_array([0.0; 3]);

            /// From the three coordinates, in the frame's unit.
            pub const fn new(x: f64, y: f64, z: f64) -> Self {
                Self::from_array([x, y, z])
            }

            /// From an array of the three coordinates.
            pub const fn from_array(coordinates: [f64; 3]) -> Self {
                Self { coordinates: DVec3::from_array(coordinates), frame: PhantomData }
            }

            /// The bare coordinates, for arithmetic inside one frame.
            pub const fn get(self) -> DVec3 {
                self.coordinates
            }
        }

        impl<F> Clone for $name<F> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<F> Copy for $name<F> {}
        impl<F> PartialEq for $name<F> {
            fn eq(&self, other: &Self) -> bool {
                self.coordinates == other.coordinates
            }
        }
        impl<F: Frame> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [x, y, z] = self.coordinates.to_array();
                write!(f, "{}({x}, {y}, {z})", F::NAME)
            }
        }
        impl<F> From<DVec3> for $name<F> {
            fn from(coordinates: DVec3) -> Self {
                Self { coordinates, frame: PhantomData }
            }
        }
        impl<F> Deref for $name<F> {
            type Target = DVec3;
            fn deref(&self) -> &DVec3 {
                &self.coordinates
            }
        }
        impl<F> DerefMut for $name<F> {
            fn deref_mut(&mut self) -> &mut DVec3 {
                &mut self.coordinates
            }
        }
    };
}
coordinates!(Point);
coordinates!(Vector);

impl<F> Point<F> {
    /// Distance to another point of the same frame, in the frame's unit.
    pub fn distance(self, other: Self) -> f64 {
        self.coordinates.distance(other.coordinates)
    }
}

impl<F> Sub for Point<F> {
    type Output = Vector<F>;
    fn sub(self, other: Self) -> Vector<F> {
        (self.coordinates - other.coordinates).into()
    }
}
impl<F> Add<Vector<F>> for Point<F> {
    type Output = Self;
    fn add(self, v: Vector<F>) -> Self {
        (self.coordinates + v.coordinates).into()
    }
}
impl<F> Sub<Vector<F>> for Point<F> {
    type Output = Self;
    fn sub(self, v: Vector<F>) -> Self {
        (self.coordinates - v.coordinates).into()
    }
}
impl<F> Add for Vector<F> {
    type Output = Self;
    fn add(self, v: Self) -> Self {
        (self.coordinates + v.coordinates).into()
    }
}
impl<F> Sub for Vector<F> {
    type Output = Self;
    fn sub(self, v: Self) -> Self {
        (self.coordinates - v.coordinates).into()
    }
}
impl<F> Mul<f64> for Vector<F> {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        (self.coordinates * factor).into()
    }
}
impl<F> Neg for Vector<F> {
    type Output = Self;
    fn neg(self) -> Self {
        (-self.coordinates).into()
    }
}
