//! What is carried along, since plugins are written where this repository is not: the contract, the SDKs, the
//! templates.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

mod files {
    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

/// Files under `folder` of the repository: their paths below it, and their texts.
pub(crate) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
    let below = move |(path, text): &(&'static str, &'static str)| {
        let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
        Some((rest, *text))
    };
    files::FILES.iter().filter_map(below)
}

/// The text of one file of the repository.
pub(crate) fn text(path: &str) -> Result<&'static str> {
    let found = files::FILES.iter().find(|(own, _)| *own == path);
    found
        .map(|(_, text)| *text)
        .with_context(|| format!("`{path}` is not part of this program"))
}

/// Writes what lies under `folder` of the repository to `to`.
pub(crate) fn write_below(folder: &str, to: &Path) -> Result<()> {
    for (path, text) in below(folder) {
        write(&to.join(path), text)?;
    }
    Ok(())
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let at = || format!("writing `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(at)?;
    }
    fs::write(path, text).with_context(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_sdks_and_templates_are_carried() {
        assert_eq!(below("wit").count(), 6);
        assert!(below("sdk/rust").any(|(path, _)| path == "src/wasm.rs"));
        assert!(below("sdk/python/folkmoot").any(|(path, _)| path == "memory/run.py"));
        assert!(text("Cargo.lock").is_ok() && text("host/cli/src/main.rs").is_err());
    }
}
