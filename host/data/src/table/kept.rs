//! Some of a table's rows.

use std::ops::Range;

use anyhow::Result;

use super::{Fields, Part, Table, Wanted};

#[derive(Debug)]
pub(super) struct Kept {
    table: Table,
    /// Their numbers in it, ascending.
    rows: Vec<u32>,
}

impl Kept {
    pub(super) fn new(table: Table, rows: Vec<u32>) -> Self {
        Self { table, rows }
    }
}

impl Part for Kept {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        self.table.columns()
    }

    fn read(
        &self,
        range: Range<usize>,
        wanted: &Wanted,
        each: &mut dyn FnMut(Fields),
    ) -> Result<()> {
        self.table
            .read(&self.rows[range], wanted, &mut |_, fields| {
                each(fields);
                Ok(())
            })
    }

    fn place(&self, row: usize) -> String {
        self.rows.get(row).map_or_else(
            || format!("row {}", row + 1),
            |row| self.table.place(*row as usize),
        )
    }
}
