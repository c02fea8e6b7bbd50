//! Instructions with their responses. It neither tokenizes nor deals rows out to clients.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail, ensure};
use folkmoot_params::Seed;
use serde_json::{Map, Value};

use crate::nearest::{listed, nearest};
use crate::table::Table;

pub use held_out::HeldOut;
pub use pairing::Pairing;
pub use sample::Sample;

mod held_out;
mod pairing;
mod sample;

/// One instruction with its answers, and whatever other columns the data has.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    /// The fields by column name; `instruction` and the answers are strings.
    pub fields: Map<String, Value>,
    /// File and line, or file and row.
    pub place: String,
}

impl Example {
    /// The string in `column`.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.field(column)? {
            Value::String(text) => Ok(text),
            other => bail!(
                "{}: column `{column}` has `{other}` where a string was expected",
                self.place
            ),
        }
    }

    /// The name of the category in `column`: a string, a number or a truth value.
    pub fn category(&self, column: &str) -> Result<Cow<'_, str>> {
        match self.field(column)? {
            Value::String(text) => Ok(Cow::Borrowed(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(Cow::Owned(value.to_string())),
            other => bail!(
                "{}: column `{column}` has `{other}` where a category was expected",
                self.place
            ),
        }
    }

    /// The finite number in `column`, which may be written as a string.
    pub fn number(&self, column: &str) -> Result<f64> {
        let value = self.field(column)?;
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        number.filter(|n| n.is_finite()).ok_or_else(|| {
            anyhow!(
                "{}: column `{column}` has `{value}` where a number was expected",
                self.place
            )
        })
    }

    fn field(&self, column: &str) -> Result<&Value> {
        self.fields.get(column).ok_or_else(|| {
            let present = || self.fields.keys().map(String::as_str);
            anyhow!(
                "{}: no column `{column}`, present are {}{}",
                self.place,
                listed(present()),
                nearest(column, present())
            )
        })
    }
}

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `instruction` and `response`.
    Instruction,
    /// `instruction`, `chosen` and `rejected`.
    Preference,
}

impl Shape {
    /// The columns that hold answers.
    pub fn answers(self) -> &'static [&'static str] {
        match self {
            Self::Instruction => &["response"],
            Self::Preference => &["chosen", "rejected"],
        }
    }
}

/// Examples in the order of their files.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Dataset {
    /// The examples.
    pub rows: Vec<Example>,
}

impl Dataset {
    /// Takes over the rows of `table`, which needs the string columns of its shape. With `labels`, a column
    /// and a set, the column's value has to be in the set in every row.
    pub fn from_table(
        table: Table,
        shape: Shape,
        labels: Option<(&str, &[String])>,
    ) -> Result<Self> {
        table.require("instruction", "dataset")?;
        for column in shape.answers() {
            table.require(column, "dataset")?;
        }
        if let Some((column, _)) = labels {
            table.require(column, "labels")?;
        }
        let rows = table.rows.into_iter().map(|row| Example {
            fields: row.fields,
            place: row.place,
        });
        let dataset = Self {
            rows: rows.collect(),
        };
        for row in &dataset.rows {
            row.text("instruction")?;
            for column in shape.answers() {
                ensure!(
                    !row.text(column)?.trim().is_empty(),
                    "{}: empty `{column}`",
                    row.place
                );
            }
            if let Some((column, set)) = labels {
                let label = row.category(column)?;
                ensure!(
                    set.iter().any(|known| *known == label),
                    "{}: `{column}` is `{label}`, which is not one of {}{}",
                    row.place,
                    listed(set.iter().map(String::as_str)),
                    nearest(&label, set.iter().map(String::as_str))
                );
            }
        }
        Ok(dataset)
    }

    /// Divides into the rows to train on and the held-out ones, both in their original order. No group has
    /// rows on both sides: what is left over of a group that was touched is on neither.
    pub fn split(self, held_out: &HeldOut, seed: Seed) -> Result<(Self, Self)> {
        held_out.split(self, seed)
    }

    /// A subset of the rows, drawn without replacement, in their original order.
    pub fn sample(self, sample: &Sample, seed: Seed) -> Result<Self> {
        sample.of(self, seed)
    }

    /// The category of every row as an index into the sorted names of the categories.
    pub fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>)> {
        let values: Vec<Cow<'_, str>> = self
            .rows
            .iter()
            .map(|row| row.category(column))
            .collect::<Result<_>>()?;
        let names: Vec<&str> = values
            .iter()
            .map(AsRef::as_ref)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let index = |value: &str| {
            names
                .binary_search(&value)
                .expect("the names are the set of the values") as u32
        };
        let indices = values.iter().map(|value| index(value)).collect();
        Ok((indices, names.into_iter().map(str::to_owned).collect()))
    }

    /// The number in `column` of every row.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        self.rows.iter().map(|row| row.number(column)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dataset, Shape};
    use crate::table::{Format, Table};

    #[test]
    fn labels_outside_the_set_are_named() {
        let table = Table::parse(
            b"instruction,response,label\na,b,pos\na,b,ngative\n",
            Format::Csv,
            &[],
            "x.csv",
        );
        let set = ["negative".to_owned(), "pos".to_owned()];
        let error = Dataset::from_table(table.unwrap(), Shape::Instruction, Some(("label", &set)))
            .unwrap_err()
            .to_string();
        let expected = "`x.csv` line 3: `label` is `ngative`, which is not one of `negative`, `pos`, nearest is `negative`";
        assert_eq!(error, expected);
    }
}
