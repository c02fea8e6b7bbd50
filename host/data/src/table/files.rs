//! Which files a data set consists of: one file, or those of a folder that belong to a split.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use glob_match::glob_match;

use super::Format;
use crate::nearest::listed;

/// What files that hold no rows are called.
const NO_ROWS: [&str; 6] = [
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "state.json",
    "config.json",
    "metadata.json",
];
/// The splits, and by which words in a file's path they are known.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// Files of one data set, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// The split that was chosen because none was asked for and the names speak of some.
    pub assumed: Option<String>,
}

/// Names of files that were chosen.
pub(crate) struct Chosen {
    pub(crate) names: Vec<String>,
    pub(crate) assumed: Option<String>,
}

impl Files {
    /// `path` itself, or the files of the folder `path` that match one of `globs` (paths in the folder; all that
    /// can be read where there are none) and belong to `split`. Where no split is asked for it is `train` if
    /// some file's name says so, and otherwise every file.
    pub fn find(path: &Path, globs: &[String], split: Option<&str>) -> Result<Self> {
        if path.is_file() {
            ensure!(
                globs.is_empty() && split.is_none(),
                "`{}` is one file: `files` and `split` choose among those of a folder or of the hub",
                path.display()
            );
            return Ok(Self {
                paths: vec![path.to_owned()],
                assumed: None,
            });
        }
        let mut names = Vec::new();
        walk(path, "", &mut names)?;
        let chosen = Self::choose(names.iter().map(String::as_str), globs, split);
        let chosen = chosen.with_context(|| format!("data folder `{}`", path.display()))?;
        Ok(Self {
            paths: chosen.names.iter().map(|name| path.join(name)).collect(),
            assumed: chosen.assumed,
        })
    }

    /// Exactly these.
    pub fn these(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            assumed: None,
        }
    }

    /// Those of `names` that hold rows, match one of `globs` and belong to `split`.
    pub(crate) fn choose<'a>(
        names: impl Iterator<Item = &'a str>,
        globs: &[String],
        split: Option<&str>,
    ) -> Result<Chosen> {
        let holds_rows = |name: &&str| {
            let file = name.rsplit('/').next().unwrap_or(name);
            let hidden = name.split('/').any(|part| part.starts_with(['.', '_']));
            !hidden && !NO_ROWS.contains(&file) && Format::of(Path::new(name)).is_ok()
        };
        let mut names: Vec<String> = names.filter(holds_rows).map(str::to_owned).collect();
        names.sort();
        ensure!(!names.is_empty(), "no file of a kind that can be read");
        let all = listed(names.iter().map(String::as_str));
        if !globs.is_empty() {
            names.retain(|name| globs.iter().any(|glob| glob_match(glob, name)));
            let asked = listed(globs.iter().map(String::as_str));
            ensure!(
                !names.is_empty(),
                "no file matches {asked}, there are {all}"
            );
        }
        let (wanted, assumed) = match split {
            Some(split) => (Some(split), None),
            // What was picked by its path needs no guess.
            None if !globs.is_empty() => (None, None),
            None => {
                let train = names.iter().any(|name| splits(name).contains(&"train"));
                let others = names.iter().any(|name| !splits(name).contains(&"train"));
                let assumed = (train && others).then(|| "train".to_owned());
                (assumed.as_ref().map(|_| "train"), assumed)
            }
        };
        if let Some(wanted) = wanted {
            let own = |name: &String| splits(name).contains(&wanted) || has_word(name, wanted);
            // Files whose names speak of no split are the training split, as on the hub.
            let none = |name: &String| wanted == "train" && splits(name).is_empty();
            let named: Vec<String> = names.iter().filter(|name| own(name)).cloned().collect();
            names = match named.is_empty() {
                true => names.into_iter().filter(none).collect(),
                false => named,
            };
            ensure!(
                !names.is_empty(),
                "no file of split `{wanted}`, there are {all}"
            );
        }
        Ok(Chosen { names, assumed })
    }

    /// Adds those of `other` after these.
    pub(crate) fn extend(&mut self, other: Self) {
        self.paths.extend(other.paths);
    }

    /// Their paths.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// The paths, relative to `root`, of the files below `root/inside` that can be read.
fn walk(root: &Path, inside: &str, names: &mut Vec<String>) -> Result<()> {
    let folder = root.join(inside);
    let at = || format!("reading the folder `{}`", folder.display());
    for entry in std::fs::read_dir(&folder).with_context(at)? {
        let entry = entry.with_context(at)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = match inside.is_empty() {
            true => name,
            false => format!("{inside}/{name}"),
        };
        // A link to a folder may lead back into it.
        if entry.file_type().with_context(at)?.is_dir() {
            walk(root, &path, names)?;
        } else if entry.path().is_file() {
            names.push(path);
        }
    }
    Ok(())
}

/// The splits that the path speaks of.
fn splits(name: &str) -> Vec<&'static str> {
    let known = SPLITS
        .iter()
        .filter(|(_, words)| words.iter().any(|word| has_word(name, word)));
    known.map(|(split, _)| *split).collect()
}

/// Whether `word` stands in `name` between characters that are no letters.
fn has_word(name: &str, word: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.match_indices(word).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + word.len()..].chars().next();
        [before, after]
            .into_iter()
            .flatten()
            .all(|c| !c.is_alphabetic())
    })
}
