//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Walk through a patient's scan: in a headset, in a window, or as pictures. Not a medical device.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about, after_help = "Start with: vestibule demo")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make the embedded patient, build a case from it and walk through it
    Demo(Demo),
    /// Say what a scan holds: series, geometry, what would be dropped, which recipe fits
    Inspect(Inspect),
    /// Turn a scan into a case folder
    Build(Build),
    /// Let a trained model find the structures of a scan, and write its label map
    Segment(Segment),
    /// Make thin slices of thick ones by a trained model, and mark what it inferred
    Upsample(Upsample),
    /// Train a network by a recipe, in legs that can be stopped and taken up again
    Train(Train),
    /// Compare two label maps: Dice, HD95, surface Dice, volumes
    Evaluate(Evaluate),
    /// List, add and verify trained models
    Models(Models),
    /// Walk through a case
    Walk(Walk),
    /// Write the embedded patient as a DICOM series with its true labels
    Phantom(Phantom),
    /// Say what this machine lacks
    Doctor(Doctor),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Display {
    /// A headset if one answers, else a window if there is a display, else offscreen
    Auto,
    /// An OpenXR headset
    Headset,
    /// A window on this screen
    Window,
    /// Pictures only
    Offscreen,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the DICOM series, the case and, offscreen, the pictures go
    #[arg(long, default_value = "vestibule-demo")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) view: View,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a walk is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct View {
    /// Where to walk
    #[arg(long, value_enum, default_value_t = Display::Auto)]
    pub(crate) display: Display,
    /// What happens in the walk: `free`, or pictures of a `tour` or of a whole `body`; `tour` offscreen, `free` elsewhere unless named
    #[arg(long, value_name = "NAME")]
    pub(crate) scene: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A folder of DICOM files, one file, a zip, NIfTI or NRRD
    pub(crate) path: PathBuf,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// A folder of DICOM files, one file, a zip, NIfTI or NRRD
    pub(crate) scan: PathBuf,
    /// The case folder to make; an older case there is replaced
    #[arg(long, value_name = "CASE")]
    pub(crate) out: PathBuf,
    /// The series to take where there are several, by its UID or number as `inspect` lists them
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<String>,
    /// How to find structures; `inspect` lists what fits
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
    /// Labels to use instead of finding structures: NIfTI, NRRD or DICOM SEG, on any grid
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// The trained model to use; the recipes with AI take the one that fits best
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// What the case is called for those who use it; never the patient's name
    #[arg(long, value_name = "TEXT")]
    pub(crate) alias: Option<String>,
    /// Neither read nor write the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Segment {
    /// A folder of DICOM files, one file, a zip, NIfTI or NRRD
    pub(crate) scan: PathBuf,
    /// The trained model; `models list` names them
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// The label map to write, ending in .nii.gz, .nii or .nrrd; names and codes go beside it, ending in .json
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Write how sure the model is of each voxel, in percent
    #[arg(long, value_name = "FILE")]
    pub(crate) confidence: Option<PathBuf>,
    /// Let a MeshNet look at the mirror image as well, left for right; takes twice as long. Other models do so as they were trained
    #[arg(long)]
    pub(crate) flips: bool,
    /// The series to take where there are several, by its UID or number as `inspect` lists them
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<String>,
    /// Neither read nor write the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Upsample {
    /// A folder of DICOM files, one file, a zip, NIfTI or NRRD
    pub(crate) scan: PathBuf,
    /// Distance of the new slices; the nearest that divides the stack into whole slices is taken
    #[arg(long, value_name = "MM", value_parser = millimetres)]
    pub(crate) spacing: f64,
    /// The finer scan to write, ending in .nii.gz or .nii; the mask of what was inferred goes beside it, ending in
    /// .inferred.nii.gz
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The trained model; the one that fits the scan best unless named
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Teach the model on the scan's own slices first, in so many steps [default: 4300 for MR, and for a scan of another modality than
    /// the model was trained on, else 0]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) fine_tune: Option<u32>,
    /// Let the model look at mirror images as well, upside down and left to right, in three times the time [default: true where it is
    /// taught on the scan]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) flips: Option<bool>,
    /// Thickness of the scan's slices, where they overlap or leave gaps [default: as thick as far apart]
    #[arg(long, value_name = "MM", value_parser = millimetres)]
    pub(crate) thickness: Option<f64>,
    /// The series to take where there are several, by its UID or number as `inspect` lists them
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<String>,
    /// Neither read nor write the cache
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// What learns, from what, and how: a recipe as models/hippocampus/training.json
    pub(crate) recipe: PathBuf,
    /// The folder of the data set, in which the recipe's folders lie
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where weights, card and loss curve go; a training that lies there is taken up again
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Stop before the epoch that would go beyond this; call again to go on
    #[arg(long, value_name = "N", value_parser = minutes)]
    pub(crate) minutes: Option<f64>,
    /// Weights of the same network to begin with, safetensors; random ones without. A training that lies in OUT goes on with its own
    #[arg(long, value_name = "FILE", conflicts_with = "calibrate")]
    pub(crate) from: Option<PathBuf>,
    /// Train nothing: fit the temperature of the model in OUT anew, test it, and write both into its card
    #[arg(long, conflicts_with = "minutes")]
    pub(crate) calibrate: bool,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The true labels: NIfTI, NRRD or DICOM SEG
    pub(crate) truth: PathBuf,
    /// The labels to judge, on the same grid
    pub(crate) prediction: PathBuf,
    /// Surfaces nearer than this agree, for surface Dice
    #[arg(long, value_name = "MM", default_value_t = 1.0, value_parser = tolerance)]
    pub(crate) tolerance: f64,
    /// How sure the model was, in percent, as `segment --confidence` or a case's confidence.nii.gz: is it right as often as it says?
    #[arg(long, value_name = "FILE")]
    pub(crate) confidence: Option<PathBuf>,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub(crate) verb: ModelsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsVerb {
    /// Say which models are there
    List(ModelsList),
    /// Add a model to the user's own
    Add(ModelsAdd),
    /// Compare every byte of models with their cards
    Verify(ModelsVerify),
}

#[derive(Debug, Args)]
pub(crate) struct ModelsList {
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsAdd {
    /// A folder with a model.json, an nnU-Net results folder, a zip of either, a .safetensors that describes its network, or
    /// the URL of a zip or .safetensors
    pub(crate) source: String,
    /// The SHA-256 that the file must have; a URL needs it
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
    /// Take the place of a model of the same name
    #[arg(long)]
    pub(crate) replace: bool,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsVerify {
    /// Which; all if none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Walk {
    /// The case folder
    pub(crate) case: PathBuf,
    #[command(flatten)]
    pub(crate) view: View,
    /// Write the tour's pictures, or those taken, into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) shots: Option<PathBuf>,
    /// End after this many drawn frames
    #[arg(long, value_name = "N")]
    pub(crate) frames: Option<u64>,
    /// Write down what happens, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Do again what a record holds
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Print one JSON report on stdout at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Phantom {
    /// Where the series and its labels go
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which body of the family
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw sex, age, height, weight and organs from a population, by the seed; what is given besides holds
    #[arg(long)]
    pub(crate) drawn: bool,
    /// Female or male; without a size, the reference adult of that sex
    #[arg(long, value_enum)]
    pub(crate) sex: Option<Sex>,
    /// Years
    #[arg(long)]
    pub(crate) age: Option<f32>,
    /// Height in cm
    #[arg(long, value_name = "CM")]
    pub(crate) height: Option<f32>,
    /// Weight in kg
    #[arg(long, value_name = "KG")]
    pub(crate) weight: Option<f32>,
    /// Contrast: native, arterial, portal, late
    #[arg(long, default_value = "portal", value_parser = phase)]
    pub(crate) phase: phantom::Phase,
    /// When in a quiet breath: 0 at the end of breathing out, 1 at the end of breathing in
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) breath: f32,
    /// When in the heart's cycle, from 0 in end-diastole; it is smallest at 0.4
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) beat: f32,
    /// Anatomy that differs from most people's, such as azygos-lobe; may be given more than once
    #[arg(long = "variant", value_name = "VARIANT", value_parser = variant)]
    pub(crate) variants: Vec<phantom::Variant>,
    /// Days since the first examination, for findings that grow or shrink
    #[arg(long, default_value_t = 0.0, value_parser = day)]
    pub(crate) day: f32,
    /// What the body suffers from, as NAME, NAME=SIZE or NAME=SIZE:DAYS, the time in which its volume doubles (negative: halves);
    /// may be given more than once [default: liver-metastasis=25]
    #[arg(long = "finding", value_name = "FINDING", value_parser = finding, conflicts_with = "healthy")]
    pub(crate) findings: Vec<phantom::Finding>,
    /// Nothing at all
    #[arg(long)]
    pub(crate) healthy: bool,
    /// Voxel size in the slice's plane and between slices, in mm
    #[arg(long, num_args = 2, value_names = ["PLANE", "SLICE"])]
    pub(crate) spacing: Option<Vec<f64>>,
    #[command(flatten)]
    pub(crate) imaging: Imaging,
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which images are made of the phantom, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Imaging")]
pub(crate) struct Imaging {
    /// Kinds of images: ct, mr-t1, mr-t2, pet; several get a folder each, in one frame of reference
    #[arg(long = "modality", value_name = "KIND", value_delimiter = ',', default_value = "ct", value_parser = modality)]
    pub(crate) modalities: Vec<phantom::Modality>,
    /// CT: tube current and time over the reference, 0.02 to 20; noise goes with the root of its inverse
    #[arg(long, default_value_t = 1.0)]
    pub(crate) dose: f32,
    /// CT: soft, standard or sharp; sharper is noisier
    #[arg(long, default_value = "standard", value_parser = kernel)]
    pub(crate) kernel: phantom::Kernel,
    /// CT: thickness of slices in mm, 0.2 to 20, apart from their distance [default: as thick as far apart]
    #[arg(long, value_name = "MM")]
    pub(crate) slice_thickness: Option<f64>,
    /// CT: tilt of the gantry in degrees, -30 to 30; negative leans its top towards the head
    #[arg(long, value_name = "DEGREES", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) tilt: f64,
    /// CT: depth of the breaths taken during the scan, in quiet breaths up to 2; 0 for a held breath
    #[arg(long, value_name = "DEPTH", default_value_t = 0.0)]
    pub(crate) breathing: f32,
    /// CT: let the beam harden, which cups and darkens what lies between bones
    #[arg(long)]
    pub(crate) beam_hardening: bool,
    /// Metal in the body: hip-left, hip-right, pedicle-screws; may be given more than once
    #[arg(long = "implant", value_name = "IMPLANT", value_parser = implant)]
    pub(crate) implants: Vec<phantom::Implant>,
    /// MR: 1.5 or 3 T
    #[arg(long, value_name = "TESLA", default_value_t = 1.5)]
    pub(crate) field: f32,
    /// Move the patient before all images but the first: mm along and degrees about left, back and up; truth.json tells it
    #[arg(long, value_name = "TX,TY,TZ,RX,RY,RZ", allow_hyphen_values = true, value_parser = misregistration)]
    pub(crate) misregistered: Option<phantom::Misregistration>,
}

/// A sex, as it is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Sex {
    Female,
    Male,
}

fn phase(text: &str) -> Result<phantom::Phase, String> {
    text.parse()
}

fn modality(text: &str) -> Result<phantom::Modality, String> {
    text.parse()
}

fn kernel(text: &str) -> Result<phantom::Kernel, String> {
    text.parse()
}

fn implant(text: &str) -> Result<phantom::Implant, String> {
    text.parse()
}

fn misregistration(text: &str) -> Result<phantom::Misregistration, String> {
    text.parse()
}

fn variant(text: &str) -> Result<phantom::Variant, String> {
    text.parse()
}

fn share(text: &str) -> Result<f32, String> {
    number(text, 0.0, 1.0)
}

fn day(text: &str) -> Result<f32, String> {
    number(text, 0.0, 36500.0)
}

fn minutes(text: &str) -> Result<f64, String> {
    number(text, 0.1, 100_000.0).map(f64::from)
}

fn millimetres(text: &str) -> Result<f64, String> {
    // In double precision, as slices lie on a grid.
    match text.parse() {
        Ok(number) if (0.01..=100.0).contains(&number) => Ok(number),
        _ => Err("a number of millimetres from 0.01 to 100 is asked for".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    number(text, 0.0, 1000.0).map(f64::from)
}

fn number(text: &str, least: f32, most: f32) -> Result<f32, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number from {least} to {most} is asked for")),
    }
}

fn finding(text: &str) -> Result<phantom::Finding, String> {
    text.parse()
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print one JSON report on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
