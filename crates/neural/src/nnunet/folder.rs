//! A results folder: which of its files make up a model.

use super::{Fold, ReadOptions};
use crate::NeuralError;

/// The files of a model, as the caller named them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files<'a> {
    pub(super) plans: &'a str,
    pub(super) dataset: &'a str,
    pub(super) checkpoints: Vec<&'a str>,
}

/// Finds a model's files among the paths of a folder or zip archive.
pub(super) fn find<'a>(paths: &[&'a str], options: &ReadOptions) -> Result<Files<'a>, NeuralError> {
    let folder_of =
        |path: &'a str, name: &str| path.strip_suffix(name).filter(|f| f.is_empty() || f.ends_with(['/', '\\']));
    let wanted = options.folder.as_deref();
    let mut folders: Vec<&str> = paths.iter().filter_map(|path| folder_of(path, "plans.json")).collect();
    folders.retain(|folder| wanted.is_none_or(|part| folder.contains(part)) && !folder.contains("__MACOSX"));
    if folders.len() > 1 {
        // The configuration that most models are made for.
        let fullres: Vec<&str> =
            folders.iter().copied().filter(|f| f.trim_end_matches(['/', '\\']).ends_with("__3d_fullres")).collect();
        if fullres.len() == 1 {
            folders = fullres;
        }
    }
    let folder = match folders[..] {
        [folder] => folder,
        [] => {
            return Err(description(
                "plans.json",
                "is in none of the folders; an nnU-Net results folder has it beside `fold_0`",
            ));
        }
        _ => {
            return Err(description(
                "plans.json",
                format!("is in several folders ({}); name one of them", folders.join(", ")),
            ));
        }
    };
    let at = |name: &str| paths.iter().copied().find(|path| path.strip_prefix(folder).is_some_and(|rest| rest == name));
    let plans = at("plans.json").ok_or_else(|| description("plans.json", "is missing"))?;
    let dataset = at("dataset.json").ok_or_else(|| description("dataset.json", "is missing beside plans.json"))?;
    let mut folds: Vec<(&str, &str)> = paths
        .iter()
        .copied()
        .filter_map(|path| {
            let (fold, file) = path.strip_prefix(folder)?.strip_prefix("fold_")?.split_once(['/', '\\'])?;
            (file == options.checkpoint).then_some((fold, path))
        })
        .collect();
    folds.sort_unstable();
    match &options.folds {
        Fold::All => {
            // The network that was trained on everything stands for itself.
            if folds.len() > 1 {
                folds.retain(|(fold, _)| *fold != "all");
            }
        }
        Fold::Only(names) => folds.retain(|(fold, _)| names.iter().any(|name| name == fold)),
    }
    if folds.is_empty() {
        return Err(description("fold_*", format!("has no `{}` that was asked for", options.checkpoint)));
    }
    Ok(Files { plans, dataset, checkpoints: folds.into_iter().map(|(_, path)| path).collect() })
}

fn description(field: &str, reason: impl Into<String>) -> NeuralError {
    NeuralError::Description { field: field.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: [&str; 6] = [
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/plans.json",
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/dataset.json",
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/fold_1/checkpoint_final.pth",
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth",
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres/fold_0/checkpoint_best.pth",
        "Dataset297_Total/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__2d/plans.json",
    ];

    #[test]
    fn the_full_resolution_is_found_with_its_folds_in_order() {
        let files = find(&TOTAL, &ReadOptions::default()).unwrap();
        assert_eq!(files.plans, TOTAL[0]);
        assert_eq!(files.dataset, TOTAL[1]);
        assert_eq!(files.checkpoints, [TOTAL[3], TOTAL[2]]);
        let one = ReadOptions { folds: Fold::Only(vec!["1".into()]), ..ReadOptions::default() };
        assert_eq!(find(&TOTAL, &one).unwrap().checkpoints, [TOTAL[2]]);
    }

    #[test]
    fn files_may_lie_at_the_top() {
        let paths = ["plans.json", "dataset.json", "fold_all/checkpoint_final.pth"];
        assert_eq!(find(&paths, &ReadOptions::default()).unwrap().checkpoints, [paths[2]]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let fails = |paths: &[&str], word: &str| {
            let error = find(paths, &ReadOptions::default()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        fails(&["a.txt"], "plans.json");
        fails(&["x/plans.json", "y/plans.json"], "several");
        fails(&["x/plans.json"], "dataset.json");
        fails(&["plans.json", "dataset.json", "fold_0/other.pth"], "checkpoint_final.pth");
    }
}
