//! Rows of named fields, read from JSON lines, JSON, CSV or TSV. No column has a meaning here yet.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::nearest::{listed, nearest};

/// How the rows of a table are written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object per line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Comma-separated, with RFC 4180 quotes.
    Csv,
    /// Tab-separated, in which a quote is an ordinary character.
    Tsv,
}

impl Format {
    /// The format that the file name's extension stands for.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            other => {
                let known = ["jsonl", "ndjson", "json", "csv", "tsv"];
                bail!(
                    "`{}`: unknown extension `{other}`, known are {}{}",
                    path.display(),
                    listed(known),
                    nearest(other, known)
                )
            }
        }
    }
}

/// One row, with the place it came from for error messages.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The fields by column name.
    pub fields: Map<String, Value>,
    /// File and line, or file and row.
    pub place: String,
}

/// Rows with the names of their columns, in the order in which the columns were first seen.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// Every column that some row has.
    pub columns: Vec<String>,
    /// The rows in file order. A row of JSON may lack some of the columns.
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads the file in the format of its extension. CSV and TSV files start with a header row.
    pub fn read(path: &Path) -> Result<Self> {
        let format = Format::of(path)?;
        let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
        Self::parse(&bytes, format, &[], &path.display().to_string())
    }

    /// Reads `bytes`, called `name` in errors. `columns` names the columns of a CSV or TSV text that has
    /// no header row; when it is empty the first row is the header.
    pub fn parse(bytes: &[u8], format: Format, columns: &[String], name: &str) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            anyhow!("`{name}` line {line}: not UTF-8: {error}")
        })?;
        match format {
            Format::Jsonl => json_lines(text, name),
            Format::Json => json_array(text, name),
            Format::Csv => delimited(
                text,
                csv::ReaderBuilder::new().delimiter(b','),
                columns,
                name,
            ),
            Format::Tsv => delimited(
                text,
                csv::ReaderBuilder::new().delimiter(b'\t').quoting(false),
                columns,
                name,
            ),
        }
    }

    /// Adds the rows of `other` after these.
    pub fn append(&mut self, other: Self) {
        for column in other.columns {
            self.note_column(&column);
        }
        self.rows.extend(other.rows);
    }

    /// Refuses a column that no row has; `what` says who asked for it.
    pub(crate) fn require(&self, column: &str, what: &str) -> Result<()> {
        ensure!(
            self.columns.iter().any(|c| c == column),
            "{what}: no column `{column}`, present are {}{}",
            listed(self.columns.iter().map(String::as_str)),
            nearest(column, self.columns.iter().map(String::as_str))
        );
        Ok(())
    }

    pub(crate) fn note_column(&mut self, column: &str) {
        if !self.columns.iter().any(|c| c == column) {
            self.columns.push(column.to_owned());
        }
    }

    fn push(&mut self, value: Value, place: String) -> Result<()> {
        let Value::Object(fields) = value else {
            bail!("{place}: not a JSON object")
        };
        for column in fields.keys() {
            self.note_column(column);
        }
        self.rows.push(Row { fields, place });
        Ok(())
    }
}

fn json_lines(text: &str, name: &str) -> Result<Table> {
    let mut table = Table::default();
    for (number, line) in text.lines().enumerate() {
        let place = format!("`{name}` line {}", number + 1);
        if !line.trim().is_empty() {
            let value =
                serde_json::from_str(line).map_err(|e| anyhow!("{place}: {}", in_line(&e)))?;
            table.push(value, place)?;
        }
    }
    Ok(table)
}

/// serde_json counts lines from the start of its input, which here is always the first one.
fn in_line(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

fn json_array(text: &str, name: &str) -> Result<Table> {
    let values: Vec<Value> = serde_json::from_str(text)
        .with_context(|| format!("`{name}`: not a JSON array of objects"))?;
    let mut table = Table::default();
    for (number, value) in values.into_iter().enumerate() {
        table.push(value, format!("`{name}` row {}", number + 1))?;
    }
    Ok(table)
}

fn delimited(
    text: &str,
    reader: &mut csv::ReaderBuilder,
    columns: &[String],
    name: &str,
) -> Result<Table> {
    let mut reader = reader
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut columns = columns.to_vec();
    let mut rows = Vec::new();
    let (mut line, mut seen) = (1, 0);
    for record in reader.records() {
        let record = record.map_err(|e| anyhow!("`{name}`: {e}"))?;
        if columns.is_empty() {
            columns = record.iter().map(str::to_owned).collect();
            continue;
        }
        // The reader's own line numbers lag by one after a CRLF, whose LF it leaves for the next record.
        let start = record.position().map_or(0, |p| p.byte() as usize);
        let blank = text[start..]
            .bytes()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        line += text[seen..start + blank]
            .bytes()
            .filter(|b| *b == b'\n')
            .count();
        seen = start + blank;
        let place = format!("`{name}` line {line}");
        // Checked here and not by the reader, whose message names neither the file nor the columns.
        ensure!(
            record.len() == columns.len(),
            "{place}: {} fields where the {} columns {} were expected",
            record.len(),
            columns.len(),
            listed(columns.iter().map(String::as_str))
        );
        let values = record.iter().map(Value::from);
        rows.push(Row {
            fields: columns.iter().cloned().zip(values).collect(),
            place,
        });
    }
    ensure!(!columns.is_empty(), "`{name}`: no header row");
    for (i, column) in columns.iter().enumerate() {
        ensure!(
            !columns[..i].contains(column),
            "`{name}`: two columns are called `{column}`"
        );
    }
    Ok(Table { columns, rows })
}

#[cfg(test)]
mod tests {
    use super::{Format, Table};

    #[test]
    fn a_bad_line_is_named() {
        let error = Table::parse(b"a,b\n1,2\n3\n", Format::Csv, &[], "x.csv")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "`x.csv` line 3: 1 fields where the 2 columns `a`, `b` were expected"
        );
        let error =
            Table::parse(b"{\"a\": 1}\n{\"a\": }\n", Format::Jsonl, &[], "x.jsonl").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`x.jsonl` line 2: expected value at column"),
            "{error}"
        );
    }

    #[test]
    fn quotes_in_tsv_are_characters() {
        let table = Table::parse(
            b"\xef\xbb\xbfid\ttext\r\n1\t\"a\r\n2\tb\"\r\n",
            Format::Tsv,
            &[],
            "x",
        )
        .unwrap();
        assert_eq!(table.columns, ["id", "text"]);
        assert_eq!(table.rows[0].fields["text"], "\"a");
        assert_eq!(table.rows[1].place, "`x` line 3");
    }
}
