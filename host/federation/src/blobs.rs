//! A folder of files that are named by the SHA-256 of their bytes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes, in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(
            Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }

    /// As hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// In `folder`, which is made if it is not there.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Keeps `bytes`.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest)?;
        if !path.is_file() {
            write_whole(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Where the bytes of `digest` lie, after the same check as [`Blobs::get`].
    pub fn file(&self, digest: &Digest) -> Result<PathBuf> {
        self.get(digest)?;
        self.path(digest)
    }

    /// The bytes of `digest`; bytes that changed on disk are an error.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest)?;
        let bytes =
            fs::read(&path).with_context(|| format!("reading blob `{}`", path.display()))?;
        let found = Digest::of(&bytes);
        ensure!(
            found == *digest,
            "blob `{}` holds bytes of digest {found}",
            path.display()
        );
        Ok(bytes)
    }

    /// Removes `digest`, if it is there.
    pub fn forget(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing blob `{}`", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &Digest) -> Result<PathBuf> {
        // A digest may come from another machine: it must not name a file elsewhere.
        let hexadecimal = digest.0.len() == 64 && digest.0.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(hexadecimal, "`{digest}` is no SHA-256 digest");
        Ok(self.folder.join(&digest.0))
    }
}

/// A file appears whole or not at all: written beside its place, synced, renamed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let thread = format!("{:?}", std::thread::current().id());
    let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
    let part = path.with_file_name(format!(".{name}.{}-{digits}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&part)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("writing `{}`", path.display()))
}
