//! The contract, carried along: plugins in other languages are built where this repository is not.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A file that is carried along: its path and its text.
pub(crate) type Carried = (&'static str, &'static str);

/// The files of `wit/`.
pub(crate) const WIT: &[Carried] = &[
    ("algorithm.wit", include_str!("../../../wit/algorithm.wit")),
    ("metric.wit", include_str!("../../../wit/metric.wit")),
    ("params.wit", include_str!("../../../wit/params.wit")),
    (
        "partitioner.wit",
        include_str!("../../../wit/partitioner.wit"),
    ),
    ("run.wit", include_str!("../../../wit/run.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// Writes `files` under `folder`.
pub(crate) fn write(files: &[Carried], folder: &Path) -> Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("creating `{}`", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
}

/// The names of the files with this ending under `folder`, which the carried ones must be.
#[cfg(test)]
pub(crate) fn listed(folder: &Path, ending: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "__pycache__" {
            let below = listed(&path, ending).into_iter();
            names.extend(below.map(|file| format!("{name}/{file}")));
        } else if name.ends_with(ending) {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_contract_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut carried: Vec<&str> = WIT.iter().map(|file| file.0).collect();
        carried.sort_unstable();
        assert_eq!(carried, listed(&folder, ".wit"));
    }
}
