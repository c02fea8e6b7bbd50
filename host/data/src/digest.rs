//! SHA-256 of files, remembered by their size and time of change: a large file is read for it once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A digest as people read it.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 digest of a file's bytes.
pub(crate) fn digest(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// What was known of a file when its digest was computed.
#[derive(PartialEq, Serialize, Deserialize)]
struct Known {
    size: u64,
    /// Which file it is, and when it last changed, by content or by name.
    changed: (u64, i64, i64),
    digest: String,
}

/// The SHA-256 digest of the file at `path`, or of the listing of a folder's files with theirs; the folder `memory`
/// keeps digests of files that have not changed since.
pub fn digest_of(path: &Path, memory: &Path) -> Result<String> {
    let at = || format!("reading `{}`", path.display());
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(at)?;
        let paths = entries.map(|entry| Ok(entry?.path()));
        let mut paths = paths.collect::<Result<Vec<_>>>().with_context(at)?;
        paths.sort();
        let mut listing = serde_json::Map::new();
        for path in paths.iter().filter(|path| path.is_file()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            listing.insert(name.into_owned(), digest_of(path, memory)?.into());
        }
        let listing = serde_json::Value::Object(listing).to_string();
        return Ok(hexadecimal(&Sha256::digest(listing)));
    }
    let metadata = fs::metadata(path).with_context(at)?;
    let own = fs::canonicalize(path).with_context(at)?;
    let own = hexadecimal(&Sha256::digest(own.as_os_str().as_encoded_bytes()));
    let note = memory.join(format!("{own}.json"));
    let known = fs::read(&note).ok();
    let known = known.and_then(|text| serde_json::from_slice::<Known>(&text).ok());
    let changed = (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    let size = metadata.len();
    if let Some(known) = known.filter(|known| known.size == size && known.changed == changed) {
        return Ok(known.digest);
    }
    let digest = digest(path).with_context(at)?;
    let known = Known {
        size,
        changed,
        digest,
    };
    let text = serde_json::to_vec(&known).with_context(at)?;
    fs::create_dir_all(memory)
        .and_then(|()| fs::write(&note, text))
        .with_context(|| format!("writing `{}`", note.display()))?;
    Ok(known.digest)
}

#[cfg(test)]
mod tests {
    use super::digest_of;

    #[test]
    fn a_changed_file_has_another_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (file, memory) = (folder.path().join("x"), folder.path().join("memory"));
        std::fs::write(&file, "a").unwrap();
        let first = digest_of(&file, &memory).unwrap();
        assert_eq!(first, digest_of(&file, &memory).unwrap());
        std::fs::write(&file, "ab").unwrap();
        assert_ne!(first, digest_of(&file, &memory).unwrap());
        assert_eq!(std::fs::read_dir(&memory).unwrap().count(), 1);
    }
}
