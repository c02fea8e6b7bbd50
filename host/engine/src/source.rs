//! Where a data set comes from: a name of the catalogue, files, or the Hugging Face hub.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use folkmoot_data::{Catalogue, Files, Meaning, Progress, Table, digest_of, hub_data};
use folkmoot_federation::Digest;

/// Which of the files that a name stands for.
#[derive(Clone, Default, Debug)]
pub struct Choice {
    /// Globs over paths in a folder or repository.
    pub files: Vec<String>,
    pub split: Option<String>,
    /// Another way of a catalogue entry to make its columns.
    pub variant: Option<String>,
}

/// A data set that was found, opened and not yet read.
pub struct Source {
    pub table: Table,
    /// What its entry says of its rows; of files nothing.
    pub meaning: Meaning,
    /// The template of its entry.
    pub template: Option<String>,
    pub files: Files,
    /// How its rows are read: what the catalogue says of it, or the names of its files.
    pub reading: String,
    /// What the files were when they were opened.
    stamps: Vec<Stamp>,
}

/// Equal as long as a file is the same.
type Stamp = (u64, u64, i64, i64);

fn stamp(path: &Path) -> Result<Stamp> {
    let own = std::fs::metadata(path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok((own.ino(), own.len(), own.ctime(), own.ctime_nsec()))
}

fn stamps(files: &Files) -> Result<Vec<Stamp>> {
    files.paths().iter().map(|path| stamp(path)).collect()
}

impl Source {
    /// Finds the data set `name`; or says why no data set is called that. `path` is the place that the name means
    /// if it is one.
    pub fn find(
        name: &str,
        path: &Path,
        choice: &Choice,
        catalogue: &Catalogue,
        cache: &Path,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Result<Self, String>> {
        let split = choice.split.as_deref();
        let of_files = |files: Files, told: &mut dyn FnMut(Progress)| {
            ensure!(
                choice.variant.is_none(),
                "`variant` is for data sets of the catalogue"
            );
            if let Some(assumed) = &files.assumed {
                told(Progress::Note(format!(
                    "no split was asked for: taking `{assumed}`"
                )));
            }
            let names = files.paths().iter().map(|path| path.display().to_string());
            let reading = names.collect::<Vec<_>>().join("\n");
            let stamps = stamps(&files)?;
            Ok(Ok(Self {
                reading,
                stamps,
                table: Table::open_all(&files)?,
                meaning: Meaning::default(),
                template: None,
                files,
            }))
        };
        if let Some(name) = name.strip_prefix("hub:") {
            let (repo, revision) = name.split_once('@').unwrap_or((name, "main"));
            let folder = hub_data(repo, revision, &choice.files, split, cache, told)?;
            return of_files(Files::find(&folder, &choice.files, split)?, told);
        }
        if path.is_file() || (path.is_dir() && name.contains(['/', '\\', '.'])) {
            return of_files(Files::find(path, &choice.files, split)?, told);
        }
        if name.contains(['/', '\\', '.']) {
            return Ok(Err(format!("data file `{}` is not there", path.display())));
        }
        let entry = match catalogue.get(name) {
            Ok(entry) => entry,
            Err(_) if path.is_dir() => {
                return of_files(Files::find(path, &choice.files, split)?, told);
            }
            Err(error) => return Ok(Err(format!("{error:#}").replace("\nhint", "\n\nhint"))),
        };
        ensure!(
            choice.files.is_empty() && split.is_none(),
            "`files` and `split` are for folders and the hub: catalogue entry `{name}` says which files it has"
        );
        let (files, table, meaning) =
            catalogue.open(name, choice.variant.as_deref(), cache, told)?;
        let reading = catalogue.reading(name)?.join("\0");
        Ok(Ok(Self {
            reading: format!("{reading}\0{:?}", choice.variant),
            stamps: stamps(&files)?,
            table,
            meaning,
            template: entry.template.clone(),
            files,
        }))
    }

    /// Refuses files that are not what they were when they were opened.
    pub fn check_unchanged(&self) -> Result<()> {
        for (path, known) in self.files.paths().iter().zip(&self.stamps) {
            ensure!(
                stamp(path)? == *known,
                "`{}` changed while it was read\nhint: start again",
                path.display()
            );
        }
        Ok(())
    }

    /// SHA-256 of its file, or of the list of its files' digests.
    pub fn digest(&self, cache: &Path) -> Result<String> {
        let digests = self
            .files
            .paths()
            .iter()
            .map(|path| digest_of(path, &memory(cache)));
        let digests = digests.collect::<Result<Vec<String>>>()?;
        Ok(match &digests[..] {
            [digest] => digest.clone(),
            several => Digest::of(several.join("\n").as_bytes()).to_string(),
        })
    }
}

/// Where digests of files are remembered.
pub(crate) fn memory(cache: &Path) -> std::path::PathBuf {
    cache.join("digests")
}
