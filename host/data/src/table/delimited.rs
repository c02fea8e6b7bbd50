//! CSV and TSV: where each record starts is found when the file is opened.

use std::ops::Range;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use super::content::Content;
use super::{Fields, Format, Part, Wanted};
use crate::nearest::listed;

/// Records between two whose places are remembered.
const STRIDE: usize = 64;

/// The records of a CSV or TSV text.
#[derive(Debug)]
pub(super) struct Delimited {
    bytes: Content,
    format: Format,
    name: String,
    columns: Vec<String>,
    rows: usize,
    /// Where every [`STRIDE`]th record starts, and on which line.
    marks: Vec<Place>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    line: usize,
}

impl Delimited {
    pub(super) fn new(
        bytes: Content,
        format: Format,
        columns: &[String],
        name: &str,
    ) -> Result<Self> {
        let start = match bytes.starts_with(b"\xef\xbb\xbf") {
            true => 3,
            false => 0,
        };
        let mut delimited = Self {
            bytes,
            format,
            name: name.to_owned(),
            columns: columns.to_vec(),
            rows: 0,
            marks: Vec::new(),
        };
        let (mut columns, mut rows, mut marks) = (columns.to_vec(), 0usize, Vec::new());
        let first = Place { start, line: 1 };
        delimited.records(first, &mut |record, place| {
            if columns.is_empty() {
                let text = |field: &[u8]| String::from_utf8(field.to_vec());
                let names = record.iter().map(text).collect::<Result<_, _>>();
                columns = names.map_err(|_| anyhow!("`{name}` line {}: not UTF-8", place.line))?;
                let mut sorted: Vec<&String> = columns.iter().collect();
                sorted.sort();
                if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    bail!(
                        "`{name}` line {}: column `{}` is there twice",
                        place.line,
                        twice[0]
                    );
                }
                return Ok(true);
            }
            if rows.is_multiple_of(STRIDE) {
                marks.push(place);
            }
            rows += 1;
            Ok(true)
        })?;
        (delimited.columns, delimited.rows, delimited.marks) = (columns, rows, marks);
        Ok(delimited)
    }

    /// Hands over the records from `first` on, each with its place, until `each` wants no more.
    fn records(
        &self,
        first: Place,
        each: &mut dyn FnMut(&csv::ByteRecord, Place) -> Result<bool>,
    ) -> Result<()> {
        let mut reader = reader(self.format).from_reader(&self.bytes[first.start..]);
        let mut record = csv::ByteRecord::new();
        let Place {
            start: mut seen,
            mut line,
        } = first;
        let wrong = |error| anyhow!("`{}`: {error}", self.name);
        while reader.read_byte_record(&mut record).map_err(wrong)? {
            // A record's position is before the line ends that go before it.
            let start = first.start + record.position().map_or(0, |p| p.byte() as usize);
            let blank = self.bytes[start..].iter();
            let blank = blank.take_while(|b| matches!(b, b'\r' | b'\n')).count();
            let start = start + blank;
            line += memchr::memchr_iter(b'\n', &self.bytes[seen..start]).count();
            seen = start;
            if !each(&record, Place { start, line })? {
                break;
            }
        }
        Ok(())
    }

    /// Hands over the records of `range`.
    fn range(
        &self,
        range: Range<usize>,
        each: &mut dyn FnMut(&csv::ByteRecord, Place),
    ) -> Result<()> {
        let Some(first) = self.marks.get(range.start / STRIDE) else {
            return Ok(());
        };
        let mut row = range.start - range.start % STRIDE;
        self.records(*first, &mut |record, place| {
            if range.contains(&row) {
                each(record, place);
            }
            row += 1;
            Ok(row < range.end)
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
        self.rows
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
        let wanted: Vec<bool> = self
            .columns
            .iter()
            .map(|column| wanted.has(column))
            .collect();
        self.range(range, &mut |record, _| each(self.fields(record, &wanted)))
    }

    fn place(&self, row: usize) -> String {
        let mut line = None;
        let found = self.range(row..row + 1, &mut |_, place| line = Some(place.line));
        match (found, line) {
            (Ok(()), Some(line)) => format!("`{}` line {line}", self.name),
            _ => format!("`{}`", self.name),
        }
    }
}
