//! Rows that were made, not read.

use std::ops::Range;

use anyhow::Result;

use super::{Fields, Part, Row, Wanted};

#[derive(Debug)]
pub(super) struct Memory {
    rows: Vec<Row>,
    columns: Vec<String>,
}

impl Memory {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        let mut columns: Vec<String> = Vec::new();
        for column in rows.iter().flat_map(|row| row.fields.keys()) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        Self { rows, columns }
    }
}

impl Part for Memory {
    fn rows(&self) -> usize {
        self.rows.len()
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
        for row in &self.rows[range] {
            let fields = row.fields.iter().filter(|(column, _)| wanted.has(column));
            each(Ok(fields
                .map(|(column, value)| (column.clone(), value.clone()))
                .collect()));
        }
        Ok(())
    }

    fn place(&self, row: usize) -> String {
        self.rows
            .get(row)
            .map_or_else(|| format!("row {}", row + 1), |row| row.place.clone())
    }
}
