//! `vestibule demo`: the embedded patient from DICOM to walk.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::{cli, output, walk};

pub(crate) fn run(arguments: &cli::Demo) -> Result<()> {
    let out = &arguments.out;
    let (series, case, pictures) = (out.join("dicom"), out.join("case"), out.join("pictures"));
    // Ours are a demo's own folders; anything else in there is somebody's work.
    if out.exists() {
        let foreign = fs::read_dir(out)
            .with_context(|| format!("--out must be a folder: {}", out.display()))?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .find(|path| ![&series, &case, &pictures].contains(&path));
        if let Some(foreign) = foreign {
            bail!("--out holds what no demo made ({}); choose another folder: {}", foreign.display(), out.display());
        }
    }
    for folder in [&series, &pictures] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
    }
    crate::phantom::write(&series, &phantom::PhantomOptions::default())?;
    output::note(&format!("DICOM series and true labels: {}", series.display()));

    let progress = Progress::new();
    let request = pipeline::BuildRequest {
        scan: series,
        out: case.clone(),
        series: None,
        recipe: None,
        labels: None,
        model: None,
        alias: Some("Embedded patient".to_owned()),
        no_cache: true,
        models: pipeline::Models::default(),
    };
    let built = pipeline::build(&request, &progress);
    progress.finish();
    output::note(&built?.to_string());
    walk::run(&cli::Walk {
        case,
        view: arguments.view.clone(),
        shots: Some(pictures),
        frames: None,
        record: None,
        replay: None,
        json: arguments.json,
    })
}
