//! The files of a repository of the Hugging Face hub that a causal language model or a data set is read from, in a
//! folder of the cache. Nothing else of the repository is fetched, and no pickles.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use hf_hub::repository::RepoSibling;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::entry::{Hub, HubKind, Source, is_file_name};
use super::fetch::{Expected, Progress, here, turn};
use super::hub;
use crate::table::Files;

const NEEDED: [&str; 3] = ["config.json", "tokenizer.json", "tokenizer_config.json"];
const WELCOME: [&str; 2] = ["chat_template.jinja", "generation_config.json"];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Lists the folder's files, one `SIZE NAME` a line, and is written when all of them are there.
const MARKER: &str = "complete";

/// The folder with the files of the model `repo` (`OWNER/NAME`) at `revision`: `cache/hub/OWNER--NAME/COMMIT`.
///
/// A revision that is a commit (40 hexadecimal digits) needs no network once its folder is complete; what a
/// branch or a tag stands for is asked each time.
pub fn hub_model(
    repo: &str,
    revision: &str,
    cache: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    fetch(None, repo, revision, Wanted::Model, cache, progress)
}

/// The folder with the files of the data set `repo` (`OWNER/NAME`) at `revision` that match one of `globs` and
/// belong to `split`, as [`Files::find`] chooses them: `cache/hub/datasets--OWNER--NAME/COMMIT`.
pub fn hub_data(
    repo: &str,
    revision: &str,
    globs: &[String],
    split: Option<&str>,
    cache: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    fetch(
        None,
        repo,
        revision,
        Wanted::Data { globs, split },
        cache,
        progress,
    )
}

/// What is wanted of a repository.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Model,
    Data {
        globs: &'a [String],
        split: Option<&'a str>,
    },
}

impl Wanted<'_> {
    fn kind(self) -> HubKind {
        match self {
            Self::Model => HubKind::Model,
            Self::Data { .. } => HubKind::Dataset,
        }
    }

    /// The name of the file that says that all is there.
    fn marker(self) -> String {
        match self {
            Self::Model => MARKER.to_owned(),
            // Other files of the same repository may be wanted another time.
            Self::Data { globs, split } => {
                let asked = Sha256::digest(format!("{globs:?} {split:?}"));
                let digits: String = asked[..6]
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                format!("{MARKER}-{digits}")
            }
        }
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "hub model",
            Self::Data { .. } => "hub data set",
        })
    }
}

fn fetch(
    endpoint: Option<&str>,
    repo: &str,
    revision: &str,
    wanted: Wanted,
    cache: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    // They become a path under the cache, and addresses.
    let parts: Vec<&str> = repo.split('/').collect();
    ensure!(
        parts.len() == 2 && parts.iter().all(|part| is_repo_part(part)),
        "{wanted} `{repo}`: not `OWNER/NAME`"
    );
    ensure!(!revision.is_empty(), "{wanted} `{repo}`: empty revision");
    let explained = |error: anyhow::Error| {
        anyhow!(
            "{wanted} `{repo}` at `{revision}`: {error:#}\nhint: without a network, give the path of a local folder \
             with its files"
        )
    };
    let commit = if is_commit(revision) {
        revision.to_owned()
    } else {
        hub::commit(endpoint, wanted.kind(), repo, revision).map_err(explained)?
    };
    ensure!(
        is_commit(&commit),
        "{wanted} `{repo}` at `{revision}`: the hub answers with `{commit}`, which is not a commit"
    );
    let name = match wanted {
        Wanted::Model => parts.join("--"),
        Wanted::Data { .. } => format!("datasets--{}", parts.join("--")),
    };
    let folder = cache.join("hub").join(name).join(&commit);
    let marker = wanted.marker();
    if is_complete(&folder, &marker) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)
        .with_context(|| format!("creating the cache folder `{}`", folder.display()))?;
    let _turn = turn(&folder.with_extension("lock"))?;
    if is_complete(&folder, &marker) {
        return Ok(folder);
    }
    let files = hub::files(endpoint, wanted.kind(), repo, &commit).map_err(explained)?;
    let repository = Repository {
        endpoint,
        kind: wanted.kind(),
        repo,
        commit: &commit,
        folder: &folder,
        files,
    };
    let names = match wanted {
        Wanted::Model => repository.model(progress),
        Wanted::Data { globs, split } => repository.data(globs, split, progress),
    };
    mark(&folder, &marker, &names.map_err(explained)?)?;
    Ok(folder)
}

struct Repository<'a> {
    endpoint: Option<&'a str>,
    kind: HubKind,
    repo: &'a str,
    commit: &'a str,
    folder: &'a Path,
    /// Those of the repository.
    files: Vec<RepoSibling>,
}

impl Repository<'_> {
    /// Brings the files of a data set that are asked for.
    fn data(
        &self,
        globs: &[String],
        split: Option<&str>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<String>> {
        let names = self.files.iter().map(|file| file.rfilename.as_str());
        let chosen = Files::choose(names, globs, split)?;
        if let Some(assumed) = &chosen.assumed {
            progress(Progress::Note(format!(
                "no split was asked for: taking `{assumed}`"
            )));
        }
        for name in &chosen.names {
            // It becomes a path under the cache.
            let inside = name.split('/').all(is_file_name);
            ensure!(inside, "`{name}` is not a path inside of the repository");
            self.bring(name, progress)?;
        }
        Ok(chosen.names)
    }

    /// Brings the files of a model.
    fn model(&self, progress: &mut dyn FnMut(Progress)) -> Result<Vec<String>> {
        let mut names: Vec<String> = NEEDED.map(str::to_owned).into();
        names.extend(
            WELCOME
                .into_iter()
                .filter(|name| self.listed(name).is_some())
                .map(str::to_owned),
        );
        let sharded = self.listed(WEIGHTS).is_none();
        ensure!(
            !sharded || self.listed(INDEX).is_some(),
            "the repository has neither `{WEIGHTS}` nor `{INDEX}`, and weights of other kinds are not read"
        );
        names.push(if sharded { INDEX } else { WEIGHTS }.to_owned());
        for name in &names {
            self.bring(name, progress)?;
        }
        if sharded {
            let shards = shards(&self.folder.join(INDEX))?;
            for name in &shards {
                self.bring(name, progress)?;
            }
            names.extend(shards);
        }
        Ok(names)
    }

    fn bring(&self, name: &str, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let listed = self
            .listed(name)
            .with_context(|| format!("the repository has no `{name}`"))?;
        let size = listed
            .size
            .with_context(|| format!("`{name}`: the hub does not say its size"))?;
        let expected = Expected {
            size,
            sha256: listed.lfs.as_ref().and_then(|lfs| lfs.sha256.as_deref()),
        };
        // A file with its final name was verified when it got it.
        let file = self.folder.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("creating `{}`", folder.display()))?;
        }
        if file.exists() && here(&file) == size {
            return Ok(());
        }
        let hub = Hub {
            kind: self.kind,
            repo: self.repo.to_owned(),
            revision: self.commit.to_owned(),
            file: name.to_owned(),
        };
        progress(Progress::Note(format!(
            "fetching `{name}` from {}",
            Source::Hub(hub.clone())
        )));
        let part = self.folder.join(format!("{name}.part"));
        if size == 0 {
            // There is nothing to ask for.
            File::create(&part).with_context(|| format!("writing `{}`", part.display()))?;
        }
        expected
            .bring(&part, progress, &|progress| {
                hub::attempt(self.endpoint, &hub, &part, size, progress)
            })
            .with_context(|| format!("`{name}`"))?;
        fs::rename(&part, &file).with_context(|| format!("renaming to `{}`", file.display()))
    }

    fn listed(&self, name: &str) -> Option<&RepoSibling> {
        self.files.iter().find(|file| file.rfilename == name)
    }
}

/// The files that the index of a sharded model names.
fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let place = || format!("reading `{}`", index.display());
    let text = fs::read_to_string(index).with_context(place)?;
    let value: Value = serde_json::from_str(&text).with_context(place)?;
    let map = value["weight_map"]
        .as_object()
        .filter(|map| !map.is_empty())
        .context("no `weight_map`")
        .with_context(place)?;
    let names = map.iter().map(|(tensor, file)| {
        let name = file.as_str().filter(|name| {
            // It becomes a path under the cache, and the index comes from strangers.
            is_file_name(name) && name.ends_with(".safetensors")
        });
        name.map(str::to_owned).with_context(|| {
            format!("tensor `{tensor}`: {file} is not the plain name of a safetensors file")
        })
    });
    names.collect::<Result<_>>().with_context(place)
}

/// Whether the folder has a marker, and every file that the marker lists in the size that it lists.
fn is_complete(folder: &Path, marker: &str) -> bool {
    fs::read_to_string(folder.join(marker)).is_ok_and(|marker| {
        let mut lines = marker.lines().peekable();
        // A crash may leave it empty.
        lines.peek().is_some()
            && lines.all(|line| {
                line.split_once(' ').is_some_and(|(size, name)| {
                    let file = folder.join(name);
                    file.exists() && here(&file).to_string() == size
                })
            })
    })
}

fn mark(folder: &Path, marker: &str, names: &[String]) -> Result<()> {
    let lines: String = names
        .iter()
        .map(|name| format!("{} {name}\n", here(&folder.join(name))))
        .collect();
    let part = folder.join(format!("{marker}.part"));
    let marker = folder.join(marker);
    fs::write(&part, lines)
        .and_then(|()| fs::rename(&part, &marker))
        .with_context(|| format!("writing `{}`", marker.display()))
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40
        && revision
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_repo_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
