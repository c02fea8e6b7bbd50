//! CSV and TSV: where each record starts is found when the file is opened.

use std::ops::Range;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value};

use super::content::Content;
use super::{Fields, Format, Part, Wanted};
use crate::nearest::listed;

/// The records of a CSV or TSV text.
#[derive(Debug)]
pub(super) struct Delimited {
    bytes: Content,
    format: Format,
    name: String,
    columns: Vec<String>,
    /// Where each record starts, and the end of the last.
    starts: Vec<usize>,
    /// The line that each record starts on.
    lines: Vec<u32>,
}

impl Delimited {
    pub(super) fn new(
        bytes: Content,
        format: Format,
        columns: &[String],
        name: &str,
    ) -> Result<Self> {
        let from = match bytes.starts_with(b"\xef\xbb\xbf") {
            true => 3,
            false => 0,
        };
        let mut columns = columns.to_vec();
        let (mut starts, mut lines) = (Vec::new(), Vec::new());
        let mut reader = reader(format).from_reader(&bytes[from..]);
        let mut record = csv::ByteRecord::new();
        let (mut line, mut seen) = (1u32, from);
        let wrong = |error| anyhow!("`{name}`: {error}");
        while reader.read_byte_record(&mut record).map_err(wrong)? {
            // A record's position is before the line ends that go before it.
            let start = from + record.position().map_or(0, |p| p.byte() as usize);
            let blank = bytes[start..]
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'));
            let start = start + blank.count();
            let passed = memchr::memchr_iter(b'\n', &bytes[seen..start]).count();
            line = line.saturating_add(passed as u32);
            seen = start;
            if columns.is_empty() {
                let text = |field: &[u8]| String::from_utf8(field.to_vec());
                let names = record.iter().map(text).collect::<Result<_, _>>();
                columns = names.map_err(|_| anyhow!("`{name}` line {line}: not UTF-8"))?;
                continue;
            }
            starts.push(start);
            lines.push(line);
        }
        starts.push(bytes.len());
        Ok(Self {
            bytes,
            format,
            name: name.to_owned(),
            columns,
            starts,
            lines,
        })
    }

    fn fields(&self, record: &csv::ByteRecord, wanted: &[bool]) -> Fields {
        // Checked here and not by the reader, whose message names neither the file nor the columns.
        if record.len() != self.columns.len() {
            return Err(format!(
                "{} fields where the {} columns {} were expected",
                record.len(),
                self.columns.len(),
                listed(self.columns.iter().map(String::as_str))
            ));
        }
        let mut fields = Map::new();
        for ((column, field), wanted) in self.columns.iter().zip(record).zip(wanted) {
            if *wanted {
                let text = std::str::from_utf8(field).map_err(|error| {
                    format!("`{column}` is not UTF-8 after byte {}", error.valid_up_to())
                })?;
                fields.insert(column.clone(), Value::from(text));
            }
        }
        Ok(fields)
    }
}

fn reader(format: Format) -> csv::ReaderBuilder {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true);
    if format == Format::Tsv {
        reader.delimiter(b'\t').quoting(false);
    }
    reader
}

impl Part for Delimited {
    fn rows(&self) -> usize {
        self.lines.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn read(
        &self,
        range: Range<usize>,
        wanted: &Wanted,
        each: &mut dyn FnMut(Fields),
    ) -> Result<()> {
        let text = &self.bytes[self.starts[range.start]..self.starts[range.end]];
        let wanted: Vec<bool> = self
            .columns
            .iter()
            .map(|column| wanted.has(column))
            .collect();
        let mut reader = reader(self.format).from_reader(text);
        let mut record = csv::ByteRecord::new();
        for _ in range {
            reader
                .read_byte_record(&mut record)
                .map_err(|error| anyhow!("`{}`: {error}", self.name))?;
            each(self.fields(&record, &wanted));
        }
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        format!("`{}` line {}", self.name, self.lines.get(row).unwrap_or(&1))
    }
}
