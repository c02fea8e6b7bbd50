//! From an entry to its rows: the files, the tables in them, and what their rows mean.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::archive;
use super::entry::{Entry, HubFiles, Kind, Manual, TableSource};
use super::fetch::Progress;
use super::hub_files::hub_data;
use crate::dataset::Meaning;
use crate::nearest::listed;
use crate::table::{Files, Table};

impl TableSource {
    /// Its rows, from the entry's file, or from the bytes of its member there.
    fn open(&self, path: &Path, bytes: Option<&[u8]>) -> Result<Table> {
        let (format, columns) = (self.format, &self.columns);
        let table = match (self.member.as_ref().zip(bytes), &self.field) {
            (Some((member, bytes)), None) => Table::parse(bytes, format, columns, member)?,
            (Some((member, bytes)), Some(field)) => Table::parse_field(bytes, field, member)?,
            (None, None) => Table::open_as(path, format, columns, &path.display().to_string())?,
            (None, Some(field)) => Table::open_field(path, field)?,
        };
        match &self.filter {
            Some(filter) => table.keep(filter),
            None => Ok(table),
        }
    }
}

impl Entry {
    /// The files of a data entry, fetched if need be.
    pub fn data(&self, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Files> {
        ensure!(
            self.kind == Kind::Data,
            "catalogue entry `{}` is no data set",
            self.name
        );
        if let Some(HubFiles {
            repo,
            revision,
            files,
            split,
        }) = &self.hub
        {
            let folder = hub_data(repo, revision, files, split.as_deref(), cache, progress)?;
            return Files::find(&folder, files, split.as_deref());
        }
        if !self.parts.is_empty() {
            return self.fetch_parts(cache, progress);
        }
        let Some(Manual { address, files }) = &self.manual else {
            return Ok(Files::these(vec![self.fetch(cache, progress)?]));
        };
        let folder = cache.join("manual").join(&self.name);
        let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        for path in &paths {
            ensure!(
                path.is_file(),
                "catalogue entry `{}`: `{}` is not there, and no program can fetch it\nhint: get {address} with a \
                 browser and unpack it so that the file lies there",
                self.name,
                path.display()
            );
        }
        Ok(Files::these(paths))
    }

    /// The tables of a data entry's files, one after another, with the constants of each.
    pub fn table(&self, files: &Files) -> Result<Table> {
        if !self.parts.is_empty() {
            return self.table_of_parts(files);
        }
        let [path] = files.paths() else {
            return Table::open_all(files);
        };
        if self.tables.is_empty() {
            return Table::open_all(files);
        }
        let members: Vec<&str> = self
            .tables
            .iter()
            .filter_map(|own| own.member.as_deref())
            .collect();
        let mut members = archive::read(path, &members)?.into_iter();
        let mut table = Table::default();
        for source in &self.tables {
            let bytes = source.member.as_ref().and_then(|_| members.next());
            let mut part = source.open(path, bytes.as_deref())?;
            for (column, value) in &source.constants {
                part.constant(column, value);
            }
            table.append(part)?;
        }
        Ok(table)
    }

    /// What its rows mean, in one of its variants.
    pub fn meaning(&self, variant: Option<&str>) -> Result<Meaning> {
        let columns = match variant {
            None => &self.columns,
            Some(variant) => {
                let found = self.variants.get(variant).with_context(|| {
                    let known = self.variants.keys().map(String::as_str);
                    let name = &self.name;
                    format!(
                        "catalogue entry `{name}` has no variant `{variant}`, but {}",
                        listed(known)
                    )
                });
                &found?.columns
            }
        };
        Ok(Meaning {
            columns: columns.clone(),
            shape: self.shape,
            labels: self.labels.clone(),
            distinct: self.distinct.clone(),
        })
    }
}
