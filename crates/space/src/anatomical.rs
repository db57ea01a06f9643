//! The six directions of the body, and the 48 ways to lay a grid along them.

use std::fmt;
use std::str::FromStr;

use glam::{DMat3, DVec3};
use thiserror::Error;

use crate::frame::{Lps, Vector};

/// One of the six directions of the body; the letter names the positive end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnatomicalDirection {
    /// The patient's right.
    Right,
    /// The patient's left.
    Left,
    /// To the front.
    Anterior,
    /// To the back.
    Posterior,
    /// To the head.
    Superior,
    /// To the feet.
    Inferior,
}

impl AnatomicalDirection {
    /// All six, opposites next to each other.
    pub const ALL: [Self; 6] =
        [Self::Right, Self::Left, Self::Anterior, Self::Posterior, Self::Superior, Self::Inferior];

    /// The unit vector that points there.
    pub fn lps(self) -> Vector<Lps> {
        match self {
            Self::Right => DVec3::NEG_X,
            Self::Left => DVec3::X,
            Self::Anterior => DVec3::NEG_Y,
            Self::Posterior => DVec3::Y,
            Self::Superior => DVec3::Z,
            Self::Inferior => DVec3::NEG_Z,
        }
        .into()
    }

    /// The direction nearest to a vector; ties go to the later axis of x, y, z.
    pub fn nearest(vector: Vector<Lps>) -> Self {
        let v = vector.get();
        let a = v.abs();
        if a.z >= a.x && a.z >= a.y {
            if v.z < 0.0 { Self::Inferior } else { Self::Superior }
        } else if a.y >= a.x {
            if v.y < 0.0 { Self::Anterior } else { Self::Posterior }
        } else if v.x < 0.0 {
            Self::Right
        } else {
            Self::Left
        }
    }

    /// The other way.
    pub fn opposite(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
            Self::Anterior => Self::Posterior,
            Self::Posterior => Self::Anterior,
            Self::Superior => Self::Inferior,
            Self::Inferior => Self::Superior,
        }
    }

    /// The letter of an axis code, as NIfTI and ITK write it: R L A P S I.
    pub fn code_letter(self) -> char {
        match self {
            Self::Right => 'R',
            Self::Left => 'L',
            Self::Anterior => 'A',
            Self::Posterior => 'P',
            Self::Superior => 'S',
            Self::Inferior => 'I',
        }
    }

    /// The letter shown to people, as DICOM writes it (PS3.3 C.7.6.1.1.1): R L A P H F.
    pub fn display_letter(self) -> char {
        match self {
            Self::Superior => 'H',
            Self::Inferior => 'F',
            other => other.code_letter(),
        }
    }
}

/// Where the three axes of a grid point, to the nearest direction of the body: `LPS`, `RAS`, `LIA`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisCode(pub [AnatomicalDirection; 3]);

impl AxisCode {
    /// The code of a direction matrix, whose columns are the grid's axes in LPS.
    ///
    /// Axes are assigned largest component first, so that each body axis is used once even for oblique grids.
    pub fn of(direction: DMat3) -> Self {
        let columns = direction.to_cols_array_2d();
        let mut code = [AnatomicalDirection::Left; 3];
        let (mut grid_done, mut body_done) = ([false; 3], [false; 3]);
        for _ in 0..3 {
            let mut best = (-1.0, 0, 0);
            for (grid, column) in columns.iter().enumerate() {
                for (body, value) in column.iter().enumerate() {
                    if !grid_done[grid] && !body_done[body] && value.abs() > best.0 {
                        best = (value.abs(), grid, body);
                    }
                }
            }
            let (_, grid, body) = best;
            let mut axis = DVec3::ZERO;
            axis[body] = if columns[grid][body] < 0.0 { -1.0 } else { 1.0 };
            code[grid] = AnatomicalDirection::nearest(axis.into());
            (grid_done[grid], body_done[body]) = (true, true);
        }
        Self(code)
    }

    /// The direction matrix of an unrotated grid with this code.
    pub fn direction(self) -> DMat3 {
        let [i, j, k] = self.0.map(|d| d.lps().get());
        DMat3::from_cols(i, j, k)
    }
}

impl fmt::Display for AxisCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|d| write!(f, "{}", d.code_letter()))
    }
}

/// A text is not an axis code.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("axis code must use each of R/L, A/P and S/I once, such as LPS or RAS; found `{found}`")]
pub struct ParseAxisCodeError {
    found: String,
}

impl FromStr for AxisCode {
    type Err = ParseAxisCodeError;
    fn from_str(text: &str) -> Result<Self, ParseAxisCodeError> {
        let error = || ParseAxisCodeError { found: text.to_owned() };
        let direction = |c| AnatomicalDirection::ALL.into_iter().find(|d| d.code_letter() == c);
        let mut letters = text.chars().map(direction);
        let code = match (letters.next(), letters.next(), letters.next(), letters.next()) {
            (Some(Some(i)), Some(Some(j)), Some(Some(k)), None) => Self([i, j, k]),
            _ => return Err(error()),
        };
        if code.direction().determinant() == 0.0 { Err(error()) } else { Ok(code) }
    }
}
