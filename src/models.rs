//! `vestibule models`: trained models that are there, added, and verified.

use anyhow::{Result, bail};
use pipeline::{AddRequest, EmbeddedModel, Models};

use crate::cli::{self, ModelsVerb};
use crate::output;
use crate::progress::Progress;

/// The folders of `models/` in the source tree, with card and weights.
const EMBEDDED: &[EmbeddedModel] = &[
    EmbeddedModel {
        card: include_str!("../models/brain/model.json"),
        files: &[("weights.safetensors", include_bytes!("../models/brain/weights.safetensors"))],
    },
    EmbeddedModel {
        card: include_str!("../models/hippocampus/model.json"),
        files: &[("weights.safetensors", include_bytes!("../models/hippocampus/weights.safetensors"))],
    },
    EmbeddedModel {
        card: include_str!("../models/through-plane/model.json"),
        files: &[("weights.safetensors", include_bytes!("../models/through-plane/weights.safetensors"))],
    },
    EmbeddedModel {
        card: include_str!("../models/through-plane-mr/model.json"),
        files: &[("weights.safetensors", include_bytes!("../models/through-plane-mr/weights.safetensors"))],
    },
    EmbeddedModel {
        card: include_str!("../models/torso-organs/model.json"),
        files: &[("weights.safetensors", include_bytes!("../models/torso-organs/weights.safetensors"))],
    },
];

/// Where models are looked for: the user's, those of `$VESTIBULE_HOME`, the embedded ones.
pub(crate) fn all() -> Models {
    Models::of_user(EMBEDDED)
}

pub(crate) fn run(arguments: &cli::Models) -> Result<()> {
    match &arguments.verb {
        ModelsVerb::List(list) => print_list(list),
        ModelsVerb::Add(add) => take(add),
        ModelsVerb::Verify(verify) => check(verify),
    }
}

fn print_list(arguments: &cli::ModelsList) -> Result<()> {
    let models = all();
    let list = models.list();
    if arguments.json {
        return output::json(&serde_json::json!({ "models": list, "user_folder": models.user }));
    }
    if list.is_empty() {
        output::say("no models yet; add one with `vestibule models add FOLDER|ZIP|FILE.safetensors|URL`");
    }
    for model in &list {
        let version = model.version.as_deref().unwrap_or("?");
        let what = model.what.as_deref().unwrap_or("its card cannot be read");
        let experimental = if model.experimental { ", experimental" } else { "" };
        output::say(&format!("{} {version} ({}{experimental}): {what}", model.name, model.place));
        let licence = model.licence.as_deref().unwrap_or("not told");
        let megabytes = model.bytes as f64 / 1e6;
        output::say(&format!("   {}{megabytes:.1} MB, licence: {licence}", classes(model.classes)));
        if let Some(sha256) = &model.sha256 {
            output::say(&format!("   SHA-256 {sha256}"));
        }
        if let Some(problem) = &model.problem {
            output::say(&format!("   CANNOT BE USED: {problem}"));
        }
    }
    Ok(())
}

/// Nothing for a model that finds no structures.
fn classes(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 class, ".to_owned(),
        n => format!("{n} classes, "),
    }
}

fn take(arguments: &cli::ModelsAdd) -> Result<()> {
    let progress = Progress::new();
    let request =
        AddRequest { source: arguments.source.clone(), sha256: arguments.sha256.clone(), replace: arguments.replace };
    let added = all().add(&request, &|share| progress.tell("add", share));
    progress.finish();
    let added = added?;
    if arguments.json {
        return output::json(&added);
    }
    for note in &added.notes {
        output::say(&format!("note: {note}"));
    }
    output::say(&format!("model {}, {}SHA-256 {}", added.name, classes(added.classes), added.sha256));
    output::say(&format!("it lies in {}", added.path.display()));
    Ok(())
}

fn check(arguments: &cli::ModelsVerify) -> Result<()> {
    let verified = all().verify(&arguments.names)?;
    if arguments.json {
        output::json(&serde_json::json!({ "models": verified }))?;
    } else {
        for model in &verified {
            match &model.problem {
                None => output::say(&format!("ok      {}", model.name)),
                Some(problem) => output::say(&format!("WRONG   {}: {problem}", model.name)),
            }
        }
        if verified.is_empty() {
            output::say("no models yet");
        }
    }
    let wrong: Vec<&str> = verified.iter().filter(|m| !m.ok).map(|m| m.name.as_str()).collect();
    if !wrong.is_empty() {
        bail!(
            "not what their cards say: {}; add them again with `vestibule models add SOURCE --replace`",
            wrong.join(", ")
        );
    }
    Ok(())
}
