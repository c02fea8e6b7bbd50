//! Data sets that lie in several files of their own, each with its digest.

use std::path::Path;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::entry::{Entry, Kind, Source, TableSource};
use super::fetch::Progress;
use crate::table::{Files, Format, Table};

/// One of the files of a data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name in the cache.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 digest, in lower-case hexadecimal.
    pub sha256: String,
    /// Where to get it, tried in order.
    pub sources: Vec<Source>,
    /// How it is written.
    pub format: Format,
    /// The field of a JSON object in which the rows are.
    #[serde(default)]
    pub field: Option<String>,
    /// Fields that are the same in all its rows.
    #[serde(default)]
    pub constants: Map<String, Value>,
}

impl Part {
    /// The part as if it were an entry by itself.
    pub(super) fn alone(&self, whole: &Entry) -> Entry {
        let table = TableSource {
            member: None,
            format: self.format,
            columns: Vec::new(),
            field: self.field.clone(),
            filter: None,
            constants: self.constants.clone(),
        };
        Entry {
            file: self.file.clone(),
            size: self.size,
            sha256: self.sha256.clone(),
            sources: self.sources.clone(),
            tables: vec![table],
            parts: Vec::new(),
            ..whole.clone()
        }
    }
}

impl Entry {
    pub(super) fn check_parts(&self) -> Result<()> {
        ensure!(
            self.kind == Kind::Data && self.sources.is_empty() && self.tables.is_empty(),
            "catalogue entry `{}`: each of the `parts` has its own `sources`, and only data has parts",
            self.name
        );
        self.parts
            .iter()
            .try_for_each(|part| part.alone(self).check_file())
    }

    pub(super) fn fetch_parts(
        &self,
        cache: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Files> {
        let paths = self
            .parts
            .iter()
            .map(|part| part.alone(self).fetch(cache, progress));
        Ok(Files::these(paths.collect::<Result<_>>()?))
    }

    /// The tables of the parts, whose files are `files`, one after another.
    pub(super) fn table_of_parts(&self, files: &Files) -> Result<Table> {
        let mut table = Table::default();
        for (part, path) in self.parts.iter().zip(files.paths()) {
            table.append(part.alone(self).table(&Files::these(vec![path.clone()]))?)?;
        }
        Ok(table)
    }
}
