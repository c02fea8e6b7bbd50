//! `data` in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// A read-only view of a data set: text columns of equal length.
pub struct Dataset {
    columns: BTreeMap<String, Vec<String>>,
    drawn: RefCell<u64>,
}

/// A data set of text columns; `seed` stands for the experiment's.
pub fn dataset(columns: &[(&str, &[&str])], seed: u64) -> Dataset {
    let own = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let columns = columns
        .iter()
        .map(|(name, values)| ((*name).to_owned(), own(values)));
    Dataset {
        columns: columns.collect(),
        drawn: RefCell::new(seed),
    }
}

#[allow(missing_docs, reason = "documented once, in wit/partitioner.wit")]
impl Dataset {
    pub fn examples(&self) -> u32 {
        self.columns.values().next().map_or(0, Vec::len) as u32
    }

    pub fn columns(&self) -> Vec<String> {
        self.columns.keys().cloned().collect()
    }

    pub fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        let values = self.column(column)?;
        let mut names = values.clone();
        names.sort();
        names.dedup();
        let number = |value| {
            names
                .iter()
                .position(|name| name == value)
                .map(|at| at as u32)
        };
        Ok((values.iter().filter_map(number).collect(), names))
    }

    pub fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        let parse = |value: &String| value.parse().map_err(|_| format!("`{value}` is no number"));
        self.column(column)?.iter().map(parse).collect()
    }

    /// Here: the words of each example over all columns.
    pub fn lengths(&self) -> Vec<u32> {
        let words = |row| self.text(row).split_whitespace().count() as u32;
        (0..self.examples()).map(words).collect()
    }

    pub fn text(&self, example: u32) -> String {
        let cells = self
            .columns
            .values()
            .map(|values| values[example as usize].as_str());
        cells.collect::<Vec<_>>().join(" ")
    }

    pub fn random(&self) -> u64 {
        let mut drawn = self.drawn.borrow_mut();
        *drawn = drawn
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *drawn
    }

    fn column(&self, column: &str) -> Result<&Vec<String>, String> {
        let found = self.columns.get(column);
        found.ok_or_else(|| format!("column `{column}` is missing"))
    }
}
