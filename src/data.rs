//! Data files embedded in the program; a folder in `$VESTIBULE_HOME` overrides them, file by file.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const EMBEDDED: &[(&str, &str)] = &[
    ("scenes/body.ron", include_str!("../scenes/body.ron")),
    ("scenes/tour.ron", include_str!("../scenes/tour.ron")),
    ("xr-config/bindings.ron", include_str!("../xr-config/bindings.ron")),
    ("xr-config/comfort.ron", include_str!("../xr-config/comfort.ron")),
    ("xr-config/desktop.ron", include_str!("../xr-config/desktop.ron")),
    ("xr-config/tiers.ron", include_str!("../xr-config/tiers.ron")),
];

/// The text of a data file, by its path in the source tree.
///
/// # Errors
/// If an overriding file cannot be read, or nothing has that name.
pub(crate) fn text(name: &str) -> Result<Cow<'static, str>> {
    if let Some(home) = std::env::var_os("VESTIBULE_HOME") {
        let path = PathBuf::from(home).join(name);
        if path.exists() {
            let text = std::fs::read_to_string(&path).with_context(|| {
                format!("VESTIBULE_HOME overrides {name} but it cannot be read: {}", path.display())
            })?;
            return Ok(Cow::Owned(text));
        }
    }
    match EMBEDDED.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok(Cow::Borrowed(text)),
        None => bail!("there is no data file {name}"),
    }
}
