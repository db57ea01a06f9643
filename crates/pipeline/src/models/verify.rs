//! Reads every byte of a model and compares it with its card.

use neural::model::Model;
use serde::Serialize;

use super::Models;
use crate::error::PipelineError;

/// What came of verifying a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedModel {
    /// For `--model`.
    pub name: String,
    /// True if every byte is what its card says, and the network can be made of them.
    pub ok: bool,
    /// What is wrong.
    pub problem: Option<String>,
}

impl Models {
    /// Verifies the models of these names; all that are there if none is named.
    ///
    /// # Errors
    /// [`PipelineError::UnknownModel`].
    pub fn verify(&self, names: &[String]) -> Result<Vec<VerifiedModel>, PipelineError> {
        let names: Vec<String> =
            if names.is_empty() { self.list().into_iter().map(|m| m.name).collect() } else { names.to_vec() };
        let mut verified = Vec::new();
        for name in names {
            let problem = match self.verify_one(&name) {
                Ok(()) => None,
                Err(error @ PipelineError::UnknownModel { .. }) => return Err(error),
                Err(error) => Some(error.to_string()),
            };
            verified.push(VerifiedModel { name, ok: problem.is_none(), problem });
        }
        Ok(verified)
    }

    fn verify_one(&self, name: &str) -> Result<(), PipelineError> {
        let entry = self.find(name)?;
        let files = entry.files()?;
        Model::load(&entry.card, files)
            .map_err(|source| PipelineError::Model { name: name.to_owned(), cause: Box::new(source) })?;
        Ok(())
    }
}
