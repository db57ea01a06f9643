//! Running the program and looking at what it made.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test, cut off from the user's cache and from any display.
pub(crate) fn vestibule() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .stdin(Stdio::null())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("VESTIBULE_HOME")
        .env("XR_RUNTIME_JSON", "/nonexistent/no-runtime.json");
    command
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

/// Runs, demands code 0, and returns the one JSON document on stdout.
#[track_caller]
pub(crate) fn json(command: &mut Command) -> Value {
    let output = run(command);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}\n{stderr}", output.status);
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("stdout is not one JSON document: {e}\n{stdout}"))
}

/// Runs, demands code 1 without a panic, and returns what stderr says.
#[track_caller]
pub(crate) fn refusal(command: &mut Command) -> String {
    let output = run(command);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{command:?}\n{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("inside the program"), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
    stderr
}

/// A case that is quickly made: the embedded patient, coarsely scanned.
pub(crate) fn small_case(dir: &Path) -> PathBuf {
    let (scan, case) = (dir.join("scan"), dir.join("case"));
    json(vestibule().args(["phantom", "--json", "--spacing", "5", "5", "--out"]).arg(&scan));
    json(vestibule().args(["build", "--json", "--no-cache", "--out"]).arg(&case).arg(&scan));
    case
}

/// A walk under way, and the files it writes.
pub(crate) struct Walk {
    pub(crate) program: Child,
    pub(crate) record: PathBuf,
    pub(crate) shots: PathBuf,
    dir: TempDir,
}

impl Walk {
    /// Starts a walk through [`small_case`] that is recorded and takes pictures.
    pub(crate) fn start(command: &mut Command, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let case = small_case(dir.path());
        let (record, shots) = (dir.path().join("walk.jsonl"), dir.path().join("shots"));
        std::fs::create_dir(&shots).expect("a folder");
        command.arg("walk").arg(case).args(arguments).arg("--record").arg(&record).arg("--shots").arg(&shots);
        let program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the walk starts");
        Self { program, record, shots, dir }
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        let output = self.program.wait_with_output().expect("the walk ends");
        Ended {
            status: output.status,
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: text(&output.stderr),
            record: std::fs::read_to_string(&self.record).expect("a record"),
            shots: self.shots,
            _dir: self.dir,
        }
    }
}

/// What a walk left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Null without `--json`.
    pub(crate) report: Value,
    pub(crate) stderr: String,
    pub(crate) record: String,
    pub(crate) shots: PathBuf,
    _dir: TempDir,
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder of real scans, or `None` with a word on it.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VESTIBULE_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no {name} in {}; set VESTIBULE_DATA", root.display());
    None
}

/// A picture and what can be said of it without eyes.
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Red, green, blue.
    pub(crate) pixels: Vec<[u8; 3]>,
}

impl Picture {
    pub(crate) fn open(path: &Path) -> Self {
        let file = BufReader::new(File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().expect("a PNG header");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a picture that fits in memory")];
        let info = reader.next_frame(&mut bytes).expect("a whole PNG");
        let channels = info.color_type.samples();
        assert!(channels >= 3, "{} is not a colour picture", path.display());
        let pixels = bytes[..info.buffer_size()].chunks_exact(channels).map(|p| [p[0], p[1], p[2]]).collect();
        Self { width: info.width, height: info.height, pixels }
    }

    /// The picture, once it is wholly written.
    pub(crate) fn try_open(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        bytes.ends_with(b"IEND\xaeB`\x82").then(|| Self::open(path))
    }

    /// Mean difference of brightness, 0–255, between two shares of the width.
    pub(crate) fn difference(&self, other: &Self, [from, to]: [f64; 2]) -> f64 {
        assert_eq!((self.width, self.height), (other.width, other.height), "pictures of one size");
        let columns = (f64::from(self.width) * from) as usize..(f64::from(self.width) * to) as usize;
        let of = |p: &[u8; 3]| p.iter().map(|&v| f64::from(v)).sum::<f64>() / 3.0;
        let rows = self.pixels.chunks_exact(self.width as usize).zip(other.pixels.chunks_exact(self.width as usize));
        let count = (columns.len() * self.height as usize) as f64;
        let row =
            |(a, b): (&[[u8; 3]], &[[u8; 3]])| columns.clone().map(|x| (of(&a[x]) - of(&b[x])).abs()).sum::<f64>();
        rows.map(row).sum::<f64>() / count
    }

    /// Standard deviation of brightness, 0–255: a blank picture has next to none.
    pub(crate) fn contrast(&self) -> f64 {
        let brightness = |p: &[u8; 3]| p.iter().map(|&v| f64::from(v)).sum::<f64>() / 3.0;
        let count = self.pixels.len() as f64;
        let mean = self.pixels.iter().map(brightness).sum::<f64>() / count;
        (self.pixels.iter().map(|p| (brightness(p) - mean).powi(2)).sum::<f64>() / count).sqrt()
    }
}

/// The PNGs of a folder, by name.
pub(crate) fn pictures(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .collect();
    files.sort();
    files
}

/// Each picture shows something, and no two are the same.
#[track_caller]
pub(crate) fn assert_pictures(dir: &Path, at_least: usize) {
    let files = pictures(dir);
    assert!(files.len() >= at_least, "{} pictures in {}, wanted {at_least}", files.len(), dir.display());
    let mut seen: Vec<Picture> = Vec::new();
    for file in &files {
        let picture = Picture::open(file);
        assert!(picture.width >= 320 && picture.height >= 180, "{} is tiny", file.display());
        assert!(picture.contrast() > 6.0, "{} is blank: contrast {:.1}", file.display(), picture.contrast());
        assert!(seen.iter().all(|other| other.pixels != picture.pixels), "{} was taken twice", file.display());
        seen.push(picture);
    }
}
