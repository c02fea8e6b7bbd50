//! Dictionaries that lie in the plugin as they are searched: data/tables.py tells their format.

/// Words and their records.
#[derive(Clone, Copy)]
pub(crate) struct Table(&'static [u8]);

/// Words per block.
const BLOCK: u32 = 16;

impl Table {
    /// A table that data/tables.py made.
    pub(crate) const fn new(bytes: &'static [u8]) -> Self {
        Self(bytes)
    }

    /// The word's number and its record.
    pub(crate) fn find(self, word: &str) -> Option<(u32, &'static [u8])> {
        let word = word.as_bytes();
        // The first block that starts with a later word; the one before it may hold this one.
        let (mut low, mut high) = (0, self.number(4));
        while low < high {
            let middle = low + (high - low) / 2;
            let start = self.block(middle);
            let first = &self.0[start + 2..][..usize::from(self.0[start + 1])];
            match first <= word {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let block = low.checked_sub(1)?;
        let number = block * BLOCK;
        let words = BLOCK.min(self.number(0) - number);
        let mut rest = &self.0[self.block(block)..];
        let mut entry = Vec::with_capacity(64);
        for number in number..number + words {
            let (shared, own) = (usize::from(rest[0]), usize::from(rest[1]));
            entry.truncate(shared);
            entry.extend_from_slice(&rest[2..2 + own]);
            rest = &rest[2 + own..];
            let length = varint(&mut rest) as usize;
            let record;
            (record, rest) = rest.split_at(length);
            if entry == word {
                return Some((number, record));
            }
        }
        None
    }

    fn block(self, number: u32) -> usize {
        let blocks = self.number(4) as usize;
        8 + 4 * blocks + self.number(8 + 4 * number as usize) as usize
    }

    fn number(self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(bytes)
    }
}

/// Takes the number that `bytes` start with.
pub(crate) fn varint(bytes: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0, 0);
    while let [byte, rest @ ..] = *bytes {
        *bytes = rest;
        number |= u32::from(byte & 127) << shift;
        shift += 7;
        if *byte < 128 {
            break;
        }
    }
    number
}
