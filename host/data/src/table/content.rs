//! The bytes of a file: mapped, not read. Compressed ones are unpacked to a file without a name first.

use std::fs::File;
use std::io::{BufReader, Read, Write, copy};
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use flate2::read::MultiGzDecoder;
use memmap2::Mmap;

/// Extensions of the compressions that are understood.
pub(super) const COMPRESSED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// Bytes that stay where they are.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Arc<[u8]>),
    Mapped(Arc<Mmap>, Arc<File>),
}

impl Content {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        let unpacked = match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => unpack(MultiGzDecoder::new(BufReader::new(file)))?,
            "zst" | "zstd" => unpack(zstd::Decoder::new(file)?)?,
            _ => file,
        };
        if unpacked.metadata()?.len() == 0 {
            return Ok(Self::Memory([].into()));
        }
        #[allow(unsafe_code, reason = "the only way to map a file")]
        // SAFETY: the bytes are only read. Whoever changes a file while it is read makes rows that are not what
        // they were or an end of the process, as with every program that maps files; nothing is written.
        let map = unsafe { Mmap::map(&unpacked)? };
        Ok(Self::Mapped(Arc::new(map), Arc::new(unpacked)))
    }
}

fn unpack(mut reader: impl Read) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    copy(&mut reader, &mut file)?;
    file.flush()?;
    Ok(file)
}

impl Content {
    /// Some bytes, read and not mapped where they are in a file: who looks through all of a file once does not want
    /// its pages to count as this program's memory.
    pub(super) fn passing<'a>(
        &'a self,
        range: Range<usize>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        match self {
            Self::Memory(bytes) => Ok(&bytes[range]),
            Self::Mapped(_, file) => {
                buffer.resize(range.len(), 0);
                file.read_exact_at(buffer, range.start as u64)?;
                Ok(buffer)
            }
        }
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map, _) => map,
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}
