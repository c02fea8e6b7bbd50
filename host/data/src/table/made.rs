//! Rows of a table with columns made of their own, so that tables which say the same in other words become one.

use std::ops::Range;

use anyhow::Result;

use super::{Fields, Part, Table, Wanted};
use crate::mapping::Steps;

#[derive(Debug)]
pub(super) struct Made {
    table: Table,
    steps: Steps,
    columns: Vec<String>,
}

impl Made {
    pub(super) fn new(table: Table, steps: Steps, columns: Vec<String>) -> Self {
        Self {
            table,
            steps,
            columns,
        }
    }
}

impl Part for Made {
    fn rows(&self) -> usize {
        self.table.len()
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
        let rows: Vec<u32> = range.map(|row| row as u32).collect();
        self.table
            .read(&rows, &self.steps.wanted(wanted), &mut |_, fields| {
                each(fields.and_then(|mut fields| {
                    let made = self.steps.apply(&mut fields, wanted);
                    made.map(|()| fields).map_err(|broken| broken.cause)
                }));
                Ok(())
            })
    }

    fn place(&self, row: usize) -> String {
        self.table.place(row)
    }
}
