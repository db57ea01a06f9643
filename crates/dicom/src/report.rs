//! What was found in a series, what was left out and what was repaired; as data, without identity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How images were made (PS3.3 C.7.3.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Modality {
    /// Computed tomography; values are Hounsfield units.
    #[serde(rename = "CT")]
    Ct,
    /// Magnetic resonance.
    #[serde(rename = "MR")]
    Mr,
    /// Positron emission tomography.
    #[serde(rename = "PT")]
    Pt,
    /// Nuclear medicine.
    #[serde(rename = "NM")]
    Nm,
    /// Ultrasound.
    #[serde(rename = "US")]
    Us,
    /// X-ray projections: radiographs, mammograms, angiograms, fluoroscopy.
    #[serde(rename = "XR")]
    Projection,
    /// Everything else.
    #[serde(rename = "other")]
    Other,
}

impl Modality {
    /// From the defined term in a file.
    pub(crate) fn from_term(term: &str) -> Self {
        match term {
            "CT" => Self::Ct,
            "MR" => Self::Mr,
            "PT" => Self::Pt,
            "NM" => Self::Nm,
            "US" | "IVUS" => Self::Us,
            "CR" | "DX" | "MG" | "XA" | "RF" | "RG" | "IO" | "PX" | "RTIMAGE" => Self::Projection,
            _ => Self::Other,
        }
    }

    /// The DICOM term, `XR` for all projections.
    pub const fn term(self) -> &'static str {
        match self {
            Self::Ct => "CT",
            Self::Mr => "MR",
            Self::Pt => "PT",
            Self::Nm => "NM",
            Self::Us => "US",
            Self::Projection => "XR",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.term())
    }
}

/// What tells the stacks of one series apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SplitBy {
    /// Frame of reference: the patient was repositioned.
    FrameOfReference,
    /// Rows, columns or pixel spacing.
    Size,
    /// The direction of rows and columns.
    Orientation,
    /// Stack ID of a multi-frame image.
    Stack,
    /// Temporal position.
    TemporalPosition,
    /// Echo number or echo time.
    Echo,
    /// Image type: magnitude and phase, water and fat, …
    ImageType,
    /// Diffusion b-value.
    DiffusionBValue,
    /// Inversion time.
    InversionTime,
    /// Cardiac phase or trigger time.
    CardiacPhase,
    /// Tube voltage.
    TubeVoltage,
    /// Reconstruction kernel.
    Kernel,
    /// Acquisition number.
    Acquisition,
    /// Acquisition time.
    AcquisitionTime,
    /// The order in which images of the same place were made.
    Order,
    /// A gap too wide to be bridged.
    Gap,
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FrameOfReference => "frame of reference",
            Self::Size => "size",
            Self::Orientation => "orientation",
            Self::Stack => "stack",
            Self::TemporalPosition => "temporal position",
            Self::Echo => "echo",
            Self::ImageType => "image type",
            Self::DiffusionBValue => "b-value",
            Self::InversionTime => "inversion time",
            Self::CardiacPhase => "cardiac phase",
            Self::TubeVoltage => "tube voltage",
            Self::Kernel => "kernel",
            Self::Acquisition => "acquisition",
            Self::AcquisitionTime => "acquisition time",
            Self::Order => "order",
            Self::Gap => "gap",
        })
    }
}

/// Something about a series that a reader of its report should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The files of one series hold several stacks; this is one of them.
    Split {
        /// What tells them apart, in the order in which it was used.
        by: Vec<SplitBy>,
        /// This stack's number, from 1.
        stack: usize,
        /// How many there are.
        stacks: usize,
    },
    /// Scout views of the same series were left out.
    LocalizersLeftOut {
        /// How many images.
        images: usize,
    },
    /// Files that hold the same instance were read once.
    DuplicateFiles {
        /// How many were left out.
        files: usize,
    },
    /// More than one image lies at the same place, and nothing tells them apart; the first was kept.
    DuplicateSlices {
        /// How many were left out.
        slices: usize,
    },
    /// Slices are missing; they were interpolated between their neighbours.
    Gap {
        /// Slice of the resulting volume after which slices are missing.
        after_slice: usize,
        /// How many.
        missing: usize,
        /// Distance of the measured neighbours in mm.
        distance_mm: f64,
    },
    /// Slices are not equally far apart; they were resampled to an even distance.
    UnevenSpacing {
        /// Smallest distance in mm.
        min_mm: f64,
        /// Largest distance in mm.
        max_mm: f64,
        /// Distance after resampling in mm.
        resampled_mm: f64,
    },
    /// Distances differ a little, as rounded positions make them; their mean was taken.
    SpacingJitter {
        /// Largest distance of a slice from its place on the even grid, in mm.
        max_deviation_mm: f64,
    },
    /// Slices are sheared against each other by a tilted gantry; they were resampled to a right-angled grid.
    GantryTilt {
        /// Angle between the slices' normal and the stack's axis in degrees.
        angle_deg: f64,
    },
    /// Slices are shifted against each other in their plane; they were resampled to a right-angled grid.
    ShiftedSlices {
        /// Largest shift in mm.
        max_mm: f64,
    },
    /// Rows and columns are not quite at a right angle; they were taken as if they were.
    SkewedAxes {
        /// Departure from the right angle in degrees.
        deviation_deg: f64,
    },
    /// The volume is one slice thick.
    SingleSlice,
    /// Slices are thicker than they are apart; the distance is what counts.
    OverlappingSlices {
        /// Distance in mm.
        spacing_mm: f64,
        /// Nominal thickness in mm.
        thickness_mm: f64,
    },
    /// Slices are thinner than they are apart.
    SlicesApart {
        /// Distance in mm.
        spacing_mm: f64,
        /// Nominal thickness in mm.
        thickness_mm: f64,
    },
    /// MONOCHROME1: low values are meant to be shown bright.
    ///
    /// CT values are Hounsfield units all the same and were kept; other stored values were complemented, so that high is
    /// bright.
    InverseDisplay {
        /// True if values were complemented.
        complemented: bool,
    },
    /// Values that mean "no measurement here"; they were kept as they are.
    Padding {
        /// Lowest of them, rescaled.
        low: f32,
        /// Highest of them, rescaled.
        high: f32,
    },
    /// Slope or intercept differ from slice to slice; each was applied to its own.
    RescaleVaries,
    /// Values beyond 16-bit integers or with fractions are kept in single precision.
    SinglePrecision,
    /// Pixels were compressed with loss before they came here.
    LossyCompression,
    /// A map to real-world values is there and was not used; values are as rescaled.
    RealWorldValuesUnused,
    /// Images of the series that cannot be read were left out.
    ImagesLeftOut {
        /// How many.
        images: usize,
        /// The first one's reason.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split { by, stack, stacks } => {
                let by: Vec<String> = by.iter().map(ToString::to_string).collect();
                write!(f, "stack {stack} of {stacks} in this series, told apart by {}", by.join(", "))
            }
            Self::LocalizersLeftOut { images } => write!(f, "{images} localizer image(s) left out"),
            Self::DuplicateFiles { files } => write!(f, "{files} file(s) hold an instance twice and were left out"),
            Self::DuplicateSlices { slices } => {
                write!(f, "{slices} slice(s) lie where another one lies and were left out")
            }
            Self::Gap { after_slice, missing, distance_mm } => write!(
                f,
                "{missing} slice(s) missing after slice {after_slice} ({distance_mm:.2} mm between neighbours); interpolated"
            ),
            Self::UnevenSpacing { min_mm, max_mm, resampled_mm } => {
                write!(f, "slice spacing varies from {min_mm:.3} to {max_mm:.3} mm; resampled to {resampled_mm:.3} mm")
            }
            Self::SpacingJitter { max_deviation_mm } => {
                write!(f, "slices lie up to {max_deviation_mm:.3} mm off an even spacing; taken as even")
            }
            Self::GantryTilt { angle_deg } => {
                write!(f, "gantry tilted by {angle_deg:.2}°; resampled to a right-angled grid")
            }
            Self::ShiftedSlices { max_mm } => {
                write!(f, "slices shifted in their plane by up to {max_mm:.2} mm; resampled to a right-angled grid")
            }
            Self::SkewedAxes { deviation_deg } => {
                write!(f, "rows and columns are {deviation_deg:.3}° off the right angle; taken as right-angled")
            }
            Self::SingleSlice => write!(f, "one slice only"),
            Self::OverlappingSlices { spacing_mm, thickness_mm } => {
                write!(f, "slices of {thickness_mm:.2} mm overlap at a distance of {spacing_mm:.2} mm")
            }
            Self::SlicesApart { spacing_mm, thickness_mm } => {
                write!(
                    f,
                    "slices of {thickness_mm:.2} mm lie {spacing_mm:.2} mm apart; what lies between was not measured"
                )
            }
            Self::InverseDisplay { complemented: false } => {
                write!(f, "meant to be shown inverted (MONOCHROME1); values kept")
            }
            Self::InverseDisplay { complemented: true } => {
                write!(f, "stored inverted (MONOCHROME1); values complemented so that high is bright")
            }
            Self::Padding { low, high } if low == high => write!(f, "value {low} marks padding"),
            Self::Padding { low, high } => write!(f, "values {low} to {high} mark padding"),
            Self::RescaleVaries => {
                write!(f, "rescale slope or intercept differ between slices; each applied to its own")
            }
            Self::SinglePrecision => write!(f, "values do not fit 16-bit integers; kept in single precision"),
            Self::LossyCompression => write!(f, "compressed with loss"),
            Self::RealWorldValuesUnused => write!(f, "a real-world value map is there and was not used"),
            Self::ImagesLeftOut { images, reason } => write!(f, "{images} image(s) left out: {reason}"),
        }
    }
}

/// Why a series is no volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Obstacle {
    /// Only scout views.
    Localizer,
    /// A projection: no depth in it.
    Projection,
    /// Position, orientation or pixel spacing is missing.
    NoGeometry {
        /// The missing or unusable attribute.
        attribute: String,
    },
    /// Slices that lie where they make no stack.
    NoStack {
        /// What is wrong with their places.
        reason: String,
    },
    /// Colour, palette or more than one sample a pixel.
    Colour,
    /// No pixels in the file.
    NoPixels,
    /// Pixels in a form that is not supported.
    Unsupported {
        /// What it is.
        what: String,
    },
    /// A file of the series is damaged.
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localizer => write!(f, "only localizer (scout) images, which are no volume; choose the main series"),
            Self::Projection => {
                write!(f, "an X-ray projection, which has no depth; choose a series of slices such as CT or MR")
            }
            Self::NoGeometry { attribute } => write!(
                f,
                "{attribute} is missing or not usable, so its place in the patient is unknown; export the original images"
            ),
            Self::NoStack { reason } => write!(f, "{reason}; the slices make no volume"),
            Self::Colour => {
                write!(f, "colour images, which are pictures of a scan and not the scan; choose the original series")
            }
            Self::NoPixels => write!(f, "no pixel data; choose a series with images"),
            Self::Unsupported { what } => {
                write!(f, "{what} is not supported; export it again as uncompressed or JPEG 2000 lossless images")
            }
            Self::Damaged { reason } => write!(f, "{reason}"),
        }
    }
}

/// How a series became a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesReport {
    /// What was found, left out and repaired.
    pub findings: Vec<Finding>,
    /// Files that were read.
    pub files: usize,
    /// Slices that were measured.
    pub measured_slices: usize,
    /// Slices of the volume that lie between measured ones.
    pub interpolated_slices: Vec<usize>,
    /// Those of them that lie where slices are missing; the others lie a little off a measured one.
    pub gap_slices: Vec<usize>,
    /// True if voxels are not the stored ones, because tilt, shifts, gaps or uneven spacing had to be corrected.
    pub resampled: bool,
}
