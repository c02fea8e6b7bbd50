//! What has to hold of an entry that is one file: its names become paths, and entries come from strangers.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::entry::{Entry, Kind, Package, Source, is_file_name};
use crate::table::Format;

impl Entry {
    pub(super) fn check_file(&self) -> Result<()> {
        let (entry, name) = (self, &self.name);
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
            let (digest, member) = match source {
                Source::Package(Package {
                    name: package,
                    file,
                    sha256,
                    member,
                    ..
                }) => {
                    ensure!(
                        is_file_name(file),
                        "catalogue entry `{name}`: package file `{file}` is not a plain name"
                    );
                    // A word that starts with a dash would be an option of pip.
                    ensure!(
                        package.starts_with(|c: char| c.is_ascii_alphanumeric()),
                        "catalogue entry `{name}`: `{package}` is not a package name"
                    );
                    (sha256, member)
                }
                Source::Npm(npm) => {
                    ensure!(
                        npm.is_plain(),
                        "catalogue entry `{name}`: `{}@{}` is not a package with a version",
                        npm.name,
                        npm.version
                    );
                    (&npm.sha256, &npm.member)
                }
                Source::Hub(_) | Source::Url(_) => continue,
            };
            entry.check_digest("package sha256", digest)?;
            match member {
                Some(member) => ensure!(
                    !member.path().is_empty(),
                    "catalogue entry `{name}`: package without a member"
                ),
                None => ensure!(
                    *digest == entry.sha256,
                    "catalogue entry `{name}`: without a member the package is the file, and their digests differ"
                ),
            }
        }
        for table in &entry.tables {
            ensure!(
                table.field.is_none() || table.format == Format::Json,
                "catalogue entry `{name}`: `field` is for tables of the format `json`"
            );
        }
        match entry.kind {
            Kind::Data => {
                let at = || format!("catalogue entry `{name}`: data without tables");
                let table = entry
                    .tables
                    .is_empty()
                    .then(|| Format::of(Path::new(&entry.file)));
                table.transpose().with_context(at)?;
            }
            Kind::Model | Kind::Interpreter => ensure!(
                entry.tables.is_empty() && entry.columns.is_empty() && entry.labels.is_none(),
                "catalogue entry `{name}`: a model or an interpreter has no tables, columns or labels"
            ),
        }
        Ok(())
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
