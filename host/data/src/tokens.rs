//! Tokenised rows in a mapped file: however many there are, memory holds what is looked at.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use memmap2::Mmap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::template::Tokenized;

const MAGIC: &[u8; 8] = b"FMTOK\0\0\x01";
/// Set in the ids of trained tokens.
const TRAINED: u32 = 1 << 31;
/// Length of the header, rows, magic: the end of the file.
const FOOTER: usize = 24;

/// Rows of token ids, with what is learnt of each, and a header about them.
///
/// The file, all little-endian: tokens (u32 each, the highest bit says that it is trained), where each row starts
/// and the last ends among them (u64 each), header (JSON), length of the header (u64), rows (u64), magic.
#[derive(Debug)]
pub struct Tokens {
    map: Mmap,
    rows: usize,
    /// Where the rows' starts begin in the file.
    starts: usize,
    header: Range<usize>,
}

impl Tokens {
    /// Opens the file, if it is there and whole.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let at = || format!("reading `{}`", path.display());
        if !path.is_file() {
            return Ok(None);
        }
        let file = File::open(path).with_context(at)?;
        if file.metadata().with_context(at)?.len() < FOOTER as u64 {
            return Ok(None);
        }
        #[allow(unsafe_code, reason = "the only way to map a file")]
        // SAFETY: the file is in this program's own cache; it was renamed to its name when it was whole, and nothing
        // writes to it after that.
        let map = unsafe { Mmap::map(&file) }.with_context(at)?;
        let whole = || {
            let number = |at: usize| {
                let bytes = map.get(at..at.checked_add(8)?)?.try_into().ok()?;
                usize::try_from(u64::from_le_bytes(bytes)).ok()
            };
            let footer = map.len() - FOOTER;
            (&map[footer + 16..] == MAGIC).then_some(())?;
            let (length, rows) = (number(footer)?, number(footer + 8)?);
            let header = footer.checked_sub(length)?;
            let starts = header.checked_sub(rows.checked_add(1)?.checked_mul(8)?)?;
            // The last row ends where the starts begin, and none ends before it starts.
            let (mut before, mut row) = (0, 0);
            while row <= rows {
                let start = number(starts + 8 * row)?;
                (start >= before).then_some(())?;
                (before, row) = (start, row + 1);
            }
            (before.checked_mul(4)? == starts).then_some((rows, starts, header..footer))
        };
        Ok(whole().map(|(rows, starts, header)| Self {
            map,
            rows,
            starts,
            header,
        }))
    }

    /// Writes the rows that `fill` hands over and the header that it gives, and opens the file.
    pub fn write<H: Serialize>(
        path: &Path,
        fill: impl FnOnce(&mut dyn FnMut(&Tokenized) -> Result<()>) -> Result<H>,
    ) -> Result<Self> {
        let at = || format!("writing `{}`", path.display());
        let folder = path.parent().context("a file in a folder")?;
        fs::create_dir_all(folder).with_context(at)?;
        let part = tempfile::NamedTempFile::new_in(folder).with_context(at)?;
        let mut file = BufWriter::with_capacity(1 << 20, part.as_file());
        let (mut starts, mut end) = (vec![0u64], 0u64);
        let header = fill(&mut |row| {
            for (id, trained) in row.ids.iter().zip(&row.trained) {
                let mark = if *trained { TRAINED } else { 0 };
                file.write_all(&(id | mark).to_le_bytes())
                    .with_context(at)?;
            }
            end += row.ids.len() as u64;
            starts.push(end);
            Ok(())
        })?;
        let rows = starts.len() as u64 - 1;
        for start in starts {
            file.write_all(&start.to_le_bytes()).with_context(at)?;
        }
        let header = serde_json::to_vec(&header).with_context(at)?;
        file.write_all(&header).with_context(at)?;
        for number in [header.len() as u64, rows] {
            file.write_all(&number.to_le_bytes()).with_context(at)?;
        }
        file.write_all(MAGIC).with_context(at)?;
        file.flush().with_context(at)?;
        drop(file);
        part.persist(path).with_context(at)?;
        Self::open(path)?.with_context(at)
    }

    /// What was written beside the rows.
    pub fn header<H: DeserializeOwned>(&self) -> Result<H> {
        let header = &self.map[self.header.clone()];
        serde_json::from_slice(header).context("header of tokenised rows")
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Tokens of each row.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        (0..self.rows).map(|row| self.span(row).len())
    }

    /// The ids of a row, and which of them are learnt.
    pub fn row(&self, row: usize) -> (Vec<u32>, Vec<bool>) {
        let Range { start, end } = self.span(row);
        let own = self.map[4 * start..4 * end].chunks_exact(4);
        let own = own.map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        own.map(|token| (token & !TRAINED, token & TRAINED != 0))
            .unzip()
    }

    fn span(&self, row: usize) -> Range<usize> {
        let start = |row: usize| {
            let at = self.starts + 8 * row;
            let bytes = self.map[at..at + 8].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes are eight bytes")) as usize
        };
        start(row)..start(row + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;
    use crate::template::Tokenized;

    #[test]
    fn rows_come_back_and_torn_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/x.tokens");
        assert!(Tokens::open(&path).unwrap().is_none());
        let rows = [vec![1, 2, 70_000], vec![], vec![3]];
        let tokenized = |ids: &Vec<u32>| Tokenized {
            ids: ids.clone(),
            trained: ids.iter().map(|id| id % 2 == 0).collect(),
        };
        let tokens = Tokens::write(&path, |each| {
            rows.iter().try_for_each(|row| each(&tokenized(row)))?;
            Ok("head")
        });
        let tokens = tokens.unwrap();
        assert_eq!(tokens.header::<String>().unwrap(), "head");
        assert_eq!(tokens.lengths().collect::<Vec<_>>(), [3, 0, 1]);
        assert_eq!(tokens.row(0), (vec![1, 2, 70_000], vec![false, true, true]));
        assert_eq!(tokens.row(2), (vec![3], vec![false]));
        let bytes = std::fs::read(&path).unwrap();
        for torn in [&bytes[..bytes.len() - 1], &bytes[..20], b""] {
            std::fs::write(folder.path().join("torn"), torn).unwrap();
            let opened = Tokens::open(&folder.path().join("torn"));
            assert!(opened.unwrap().is_none());
        }
    }
}
