//! Rows of named fields in files: JSON lines, JSON, CSV, TSV, Parquet or Arrow, compressed or not, one file or
//! many. Opening a file does not read it: rows are parsed when they are asked for, and of them only the fields
//! that are wanted. No column has a meaning here yet.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use serde_json::{Map, Value};

use crate::mapping::{Filter, Mapping};
use crate::nearest::{listed, nearest};
use content::Content;
use kept::Kept;
use made::Made;
use memory::Memory;

mod columnar;
mod content;
mod delimited;
mod files;
mod format;
mod json;
mod kept;
mod made;
mod memory;

pub use files::Files;
pub use format::Format;

/// Rows that one thread parses at a time.
const CHUNK: usize = 4096;
/// Rows of JSON that are looked at for the names of columns.
const LOOKED_AT: usize = 256;

/// One row, with the place it came from for error messages.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The fields by column name.
    pub fields: Map<String, Value>,
    /// File and line, or file and row.
    pub place: String,
}

/// The columns that are read of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Wanted {
    /// Every one.
    All,
    /// Those with these names.
    Only(BTreeSet<String>),
}

impl Wanted {
    /// Only these.
    pub fn only<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Only(columns.into_iter().map(str::to_owned).collect())
    }

    /// Whether `column` is one of them.
    pub fn has(&self, column: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(columns) => columns.contains(column),
        }
    }
}

/// A row's fields, or what is wrong with it.
type Fields = Result<Map<String, Value>, String>;

/// The rows of one file.
trait Part: fmt::Debug + Send + Sync {
    fn rows(&self) -> usize;

    /// The columns that are known without reading all rows.
    fn columns(&self) -> &[String];

    /// Hands over the rows of `range` in order.
    fn read(
        &self,
        range: Range<usize>,
        wanted: &Wanted,
        each: &mut dyn FnMut(Fields),
    ) -> Result<()>;

    fn place(&self, row: usize) -> String;
}

/// A part with the fields that all of its rows get.
#[derive(Clone, Debug)]
struct Sheet {
    part: Arc<dyn Part>,
    constants: Map<String, Value>,
    /// Number of its first row in the table.
    first: usize,
}

/// Rows with the names of their columns, in the order in which the columns were first seen.
#[derive(Clone, Debug, Default)]
pub struct Table {
    sheets: Vec<Sheet>,
    columns: Vec<String>,
    rows: usize,
}

impl Table {
    /// Opens a file in the format of its extension. CSV and TSV files start with a header row.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, Format::of(path)?, &[], &path.display().to_string())
    }

    /// Opens the files one after another.
    pub fn open_all(files: &Files) -> Result<Self> {
        let mut table = Self::default();
        for path in files.paths() {
            table.append(Self::open(path)?)?;
        }
        Ok(table)
    }

    /// Opens a file, called `name` in errors. `columns` names the columns of a CSV or TSV text that has no
    /// header row; when it is empty the first row is the header.
    pub fn open_as(path: &Path, format: Format, columns: &[String], name: &str) -> Result<Self> {
        let bytes = Content::open(path).with_context(|| format!("reading `{}`", path.display()))?;
        Self::of(bytes, format, columns, name)
    }

    /// Like [`Self::open_as`], of bytes in memory.
    pub fn parse(bytes: &[u8], format: Format, columns: &[String], name: &str) -> Result<Self> {
        Self::of(Content::Memory(bytes.into()), format, columns, name)
    }

    /// Opens a JSON file that is one object, in whose `field` the rows are.
    pub fn open_field(path: &Path, field: &str) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = Content::open(path).with_context(|| format!("reading `{name}`"))?;
        Self::of_part(Arc::new(json::Json::field(bytes, field, &name)?))
    }

    /// Like [`Self::open_field`], of bytes in memory, called `name` in errors.
    pub fn parse_field(bytes: &[u8], field: &str, name: &str) -> Result<Self> {
        let bytes = Content::Memory(bytes.into());
        Self::of_part(Arc::new(json::Json::field(bytes, field, name)?))
    }

    fn of(bytes: Content, format: Format, columns: &[String], name: &str) -> Result<Self> {
        let part: Arc<dyn Part> = match format {
            Format::Jsonl => Arc::new(json::Json::lines(bytes, name)?),
            Format::Json => Arc::new(json::Json::array(bytes, name)?),
            Format::Csv | Format::Tsv => {
                Arc::new(delimited::Delimited::new(bytes, format, columns, name)?)
            }
            Format::Parquet => Arc::new(columnar::Parquet::new(bytes, name)?),
            Format::Arrow => Arc::new(columnar::Arrow::new(bytes, name)?),
        };
        Self::of_part(part)
    }

    fn of_part(part: Arc<dyn Part>) -> Result<Self> {
        let rows = part.rows();
        ensure!(
            u32::try_from(rows).is_ok(),
            "{}: {rows} rows are more than can be numbered",
            part.place(0)
        );
        Ok(Self {
            columns: part.columns().to_vec(),
            sheets: vec![Sheet {
                part,
                constants: Map::new(),
                first: 0,
            }],
            rows,
        })
    }

    /// Rows in memory.
    pub fn of_rows(rows: Vec<Row>) -> Result<Self> {
        Self::of_part(Arc::new(Memory::new(rows)))
    }

    /// The rows of which `filter` is true, and those that cannot be read. It reads all of them.
    pub(crate) fn keep(self, filter: &Filter) -> Result<Self> {
        for column in filter.columns() {
            self.require(column, "filter")?;
        }
        let rows: Vec<u32> = (0..self.rows as u32).collect();
        let wanted = Wanted::only(filter.columns());
        let kept = self.map(&rows, &wanted, |row, fields| match fields {
            Ok(fields) => filter.is_true(&fields).with_context(|| self.place(row)),
            // Whoever checks the rows has to see it.
            Err(_) => Ok(true),
        })?;
        let rows = rows.into_iter().zip(kept);
        let rows = rows.filter(|(_, kept)| *kept).map(|(row, _)| row).collect();
        Self::of_part(Arc::new(Kept::new(self, rows)))
    }

    /// The rows with the columns of `mapping` made. It reads none of them yet.
    pub fn made(self, mapping: &Mapping) -> Result<Self> {
        let steps = mapping.compile(&self)?;
        let mut columns = self.columns.clone();
        for target in mapping.targets() {
            if !columns.iter().any(|own| own == target) {
                columns.push(target.to_owned());
            }
        }
        Self::of_part(Arc::new(Made::new(self, steps, columns)))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The known columns. A row of JSON may lack some, and rows far down may have more.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Gives every row a field with this value.
    pub fn constant(&mut self, column: &str, value: &Value) {
        for sheet in &mut self.sheets {
            sheet.constants.insert(column.to_owned(), value.clone());
        }
        self.note_column(column);
    }

    /// Adds the rows of `other` after these.
    pub fn append(&mut self, other: Self) -> Result<()> {
        for column in &other.columns {
            self.note_column(column);
        }
        let first = self.rows;
        self.rows += other.rows;
        ensure!(
            u32::try_from(self.rows).is_ok(),
            "{} rows are more than can be numbered",
            self.rows
        );
        self.sheets
            .extend(other.sheets.into_iter().map(|sheet| Sheet {
                first: first + sheet.first,
                ..sheet
            }));
        Ok(())
    }

    /// Where row `row` comes from: file and line, or file and row.
    pub fn place(&self, row: usize) -> String {
        let sheet = self.sheet(row);
        sheet.part.place(row - sheet.first)
    }

    fn sheet(&self, row: usize) -> &Sheet {
        let after = self.sheets.partition_point(|sheet| sheet.first <= row);
        &self.sheets[after - 1]
    }

    /// What `make` makes of each of `rows` (ascending numbers), in their order; `make` gets the row's number and
    /// its wanted fields, or what is wrong with it. Threads share out the rows.
    pub fn map<T: Send>(
        &self,
        rows: &[u32],
        wanted: &Wanted,
        make: impl Fn(usize, Fields) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let chunks = rows.len().div_ceil(CHUNK);
        let made = (0..chunks).into_par_iter().with_max_len(1).map(|chunk| {
            let own = &rows[chunk * CHUNK..((chunk + 1) * CHUNK).min(rows.len())];
            let mut made = Vec::with_capacity(own.len());
            self.read(own, wanted, &mut |row, fields| {
                made.push(make(row, fields)?);
                Ok(())
            })?;
            Ok(made)
        });
        let made: Vec<Result<Vec<T>>> = made.collect();
        let mut all = Vec::with_capacity(rows.len());
        for chunk in made {
            all.extend(chunk?);
        }
        Ok(all)
    }

    /// One row with all of its fields.
    pub fn row(&self, row: usize) -> Result<Row> {
        let mut found = None;
        self.read(&[row as u32], &Wanted::All, &mut |row, fields| {
            let place = self.place(row);
            match fields {
                Ok(fields) => found = Some(Row { fields, place }),
                Err(cause) => bail!("{place}: {cause}"),
            }
            Ok(())
        })?;
        found.context("a row that was asked for is handed over")
    }

    fn read(
        &self,
        rows: &[u32],
        wanted: &Wanted,
        each: &mut dyn FnMut(usize, Fields) -> Result<()>,
    ) -> Result<()> {
        let mut rest = rows;
        while let Some(&first) = rest.first() {
            let sheet = self.sheet(first as usize);
            let end = sheet.first + sheet.part.rows();
            // As many as follow one another in this part.
            let run = rest.iter().enumerate();
            let run = run.take_while(|(at, row)| {
                **row as usize == first as usize + at && (**row as usize) < end
            });
            let count = run.count();
            ensure!(count > 0, "row {first} of {} rows", self.rows);
            let (mut at, mut outcome) = (first as usize, Ok(()));
            let from = first as usize - sheet.first;
            sheet
                .part
                .read(from..from + count, wanted, &mut |mut fields| {
                    if let Ok(fields) = &mut fields {
                        for (column, value) in &sheet.constants {
                            if wanted.has(column) {
                                fields.insert(column.clone(), value.clone());
                            }
                        }
                    }
                    if outcome.is_ok() {
                        outcome = each(at, fields);
                    }
                    at += 1;
                })?;
            outcome?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Refuses a column that no row has; `what` says who asked for it.
    pub(crate) fn require(&self, column: &str, what: &str) -> Result<()> {
        if self.columns.iter().any(|c| c == column) {
            return Ok(());
        }
        // It may be in rows that were not looked at yet.
        let rows: Vec<u32> = (0..self.rows as u32).collect();
        let wanted = Wanted::only([column]);
        let there = self.map(&rows, &wanted, |_, fields| {
            Ok(fields.is_ok_and(|fields| fields.contains_key(column)))
        })?;
        ensure!(
            there.contains(&true),
            "{what}: no column `{column}`, present are {}{}",
            listed(self.columns.iter().map(String::as_str)),
            nearest(column, self.columns.iter().map(String::as_str))
        );
        Ok(())
    }

    fn note_column(&mut self, column: &str) {
        if !self.columns.iter().any(|c| c == column) {
            self.columns.push(column.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
