//! Rows with a meaning: instructions with their responses, conversations, pairs of answers, texts. Rows stay in
//! their files and are read again when they are needed. It neither tokenizes nor deals rows out to clients.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, anyhow, bail, ensure};
use folkmoot_params::Seed;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mapping::{Mapping, Steps};
use crate::nearest::listed;
use crate::table::{Table, Wanted};

pub use broken::{Broken, Fault, OnBroken, OnTooLong, Report};
pub use conversation::{Role, Turn};
pub use example::Example;
pub use held_out::HeldOut;
pub use pairing::Pairing;
pub use sample::Sample;
pub use shape::Shape;

mod broken;
mod conversation;
mod example;
mod held_out;
mod pairing;
mod sample;
mod shape;

/// A column with a closed set of values.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The column.
    pub column: String,
    /// Its values.
    pub set: Vec<String>,
}

/// What the rows of a table mean.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Meaning {
    /// The columns made from the table's own.
    pub columns: Mapping,
    /// None: what the columns say.
    pub shape: Option<Shape>,
    /// A column whose value has to be in a set in every row.
    pub labels: Option<Labels>,
    /// Columns of which only the first row of equal values stays.
    pub distinct: Vec<String>,
}

/// Examples in the order of their files.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: Arc<Source>,
    rows: Arc<Vec<u32>>,
}

#[derive(Debug)]
struct Source {
    table: Table,
    steps: Steps,
    columns: Vec<String>,
    shape: Shape,
    /// Whether an instruction may have its own `input` beside it.
    input: bool,
}

impl Dataset {
    /// All rows of `table`, not yet checked.
    pub fn new(table: Table, meaning: &Meaning) -> Result<Self> {
        ensure!(!table.is_empty(), "there are no rows");
        if table.columns().is_empty() {
            // The first row says why: it cannot be read, or it is no object.
            table.row(0)?;
        }
        let steps = meaning.columns.compile(&table)?;
        let mut columns = table.columns().to_vec();
        for target in meaning.columns.targets() {
            if !columns.iter().any(|own| own == target) {
                columns.push(target.to_owned());
            }
        }
        let has = |column: &str| columns.iter().any(|own| own == column);
        let shape = meaning.shape.or_else(|| Shape::of(has)).with_context(|| {
            let present = columns.iter().map(String::as_str);
            let wanted = Shape::ALL.map(|own| {
                format!("{own}: {}", listed(own.columns().iter().copied()))
            });
            format!(
                "no column that can be learnt, present are {}\nhint: map columns to those of a shape ({})",
                listed(present),
                wanted.join("; ")
            )
        })?;
        let needed = shape.columns().iter().copied();
        let needed = needed.chain(meaning.labels.as_ref().map(|labels| labels.column.as_str()));
        for column in needed.chain(meaning.distinct.iter().map(String::as_str)) {
            if !meaning.columns.makes(column) {
                table.require(column, "dataset")?;
            }
        }
        // A column that no row has costs nothing.
        let input = !meaning.columns.makes("instruction");
        let rows = Arc::new((0..table.len() as u32).collect());
        let source = Source {
            table,
            steps,
            columns,
            shape,
            input,
        };
        Ok(Self {
            source: Arc::new(source),
            rows,
        })
    }

    /// The rows that can be used, those with values that are not distinct left out, and what is wrong with the
    /// others.
    pub fn checked(self, meaning: &Meaning, on_broken: OnBroken) -> Result<(Self, Report)> {
        let mut wanted = self.shape_columns();
        wanted.extend(meaning.labels.iter().map(|labels| labels.column.clone()));
        wanted.extend(meaning.distinct.iter().cloned());
        let seen = self.map(&Wanted::Only(wanted), |_, fields| {
            Ok(fields.and_then(|fields| self.source.sound(fields, meaning)))
        })?;
        let mut report = Report {
            rows: self.len(),
            ..Report::default()
        };
        let (mut rows, mut known) = (
            Vec::with_capacity(seen.len()),
            std::collections::HashSet::new(),
        );
        for (seen, row) in seen.into_iter().zip(self.rows.iter()) {
            match seen {
                Ok(None) => rows.push(*row),
                Ok(Some(key)) if known.insert(key) => rows.push(*row),
                Ok(Some(_)) => {}
                Err(broken) => report.note(&self.source.table.place(*row as usize), &broken),
            }
        }
        if on_broken == OnBroken::Stop && report.count() > 0 {
            bail!("{report}\nhint: `data.broken = \"skip\"` leaves such rows out, and counts them");
        }
        Ok((self.of(rows), report))
    }

    /// Other rows of the same source: numbers of its table, ascending.
    pub fn of(&self, rows: Vec<u32>) -> Self {
        Self {
            source: self.source.clone(),
            rows: Arc::new(rows),
        }
    }

    /// The rows' numbers in their table.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What a row is.
    pub fn shape(&self) -> Shape {
        self.source.shape
    }

    /// The known columns.
    pub fn columns(&self) -> &[String] {
        &self.source.columns
    }

    /// Where an example comes from.
    pub fn place(&self, index: usize) -> String {
        self.place_of(self.rows[index] as usize)
    }

    /// Where a row of the table comes from.
    pub(crate) fn place_of(&self, row: usize) -> String {
        self.source.table.place(row)
    }

    /// An example with all of its columns.
    pub fn example(&self, index: usize) -> Result<Example> {
        let mut examples = self.of(vec![self.rows[index]]).examples()?;
        examples.pop().context("one row makes one example")
    }

    /// All examples with all of their columns.
    pub fn examples(&self) -> Result<Vec<Example>> {
        self.map_examples(&Wanted::All, |_, example| {
            example.map_err(|(row, broken)| self.error(row, &broken))
        })
    }

    fn error(&self, row: usize, broken: &Broken) -> anyhow::Error {
        anyhow!("{}: {}", self.source.table.place(row), broken.cause)
    }

    /// What `make` makes of each example, in their order. An example has the columns of its shape; one that cannot
    /// be used comes with its number in the table. Threads share out the rows.
    pub fn map_shaped<T: Send>(
        &self,
        make: impl Fn(usize, Result<Example, (usize, Broken)>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.map_examples(&Wanted::Only(self.shape_columns()), make)
    }

    fn map_examples<T: Send>(
        &self,
        wanted: &Wanted,
        make: impl Fn(usize, Result<Example, (usize, Broken)>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.map(wanted, |row, fields| {
            let source = self.source.clone();
            let example = match fields.and_then(|fields| source.example(fields)) {
                Ok((fields, prompt)) => Ok(Example {
                    fields,
                    prompt,
                    source,
                    row,
                }),
                Err(broken) => Err((row, broken)),
            };
            make(row, example)
        })
    }

    /// What `make` makes of the number of each row and those of its columns that are wanted.
    fn map<T: Send>(
        &self,
        targets: &Wanted,
        make: impl Fn(usize, Result<Map<String, Value>, Broken>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let Source { table, steps, .. } = &*self.source;
        table.map(&self.rows, &steps.wanted(targets), |row, fields| {
            let fields = fields.map_err(|cause| Fault::Unreadable.because(cause));
            let fields = fields.and_then(|mut fields| {
                steps.apply(&mut fields, targets)?;
                Ok(fields)
            });
            make(row, fields)
        })
    }

    fn shape_columns(&self) -> BTreeSet<String> {
        let own = self.source.shape.columns().iter().copied();
        own.chain(self.source.input.then_some("input"))
            .map(str::to_owned)
            .collect()
    }

    /// What `make` makes of the value that each row has in `column`.
    fn column<T: Send>(
        &self,
        column: &str,
        make: impl Fn(&Value) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>> {
        let made = self.source.steps.wanted(&Wanted::only([column])) != Wanted::only([column]);
        if !made {
            self.source.table.require(column, "dataset")?;
        }
        self.map(&Wanted::only([column]), |row, fields| {
            let place = || self.source.table.place(row);
            let fields = fields.map_err(|broken| anyhow!("{}: {}", place(), broken.cause))?;
            let value = fields.get(column);
            let value = value.with_context(|| format!("{}: no field `{column}`", place()))?;
            make(value).map_err(|expected| {
                anyhow!(
                    "{}: column `{column}` has `{value}` where {expected} was expected",
                    place()
                )
            })
        })
    }

    /// What every example says: its prompt and its (preferred) answer, a line each. Of a row that cannot be used as
    /// what it is, and of rows without a shape, all strings.
    pub fn texts(&self) -> Result<Vec<String>> {
        let said =
            self.map_shaped(|_, example| Ok(example.ok().and_then(|own| own.said().ok())))?;
        let silent = said.iter().zip(self.rows.iter());
        let silent = silent
            .filter(|(said, _)| said.is_none())
            .map(|(_, row)| *row);
        let silent: Vec<u32> = silent.collect();
        let strings = self
            .source
            .table
            .map(&silent, &Wanted::All, |row, fields| {
                let fields = fields.map_err(|cause| anyhow!("{}: {cause}", self.place_of(row)))?;
                let strings = fields.values().filter_map(Value::as_str);
                Ok(strings.collect::<Vec<_>>().join("\n"))
            })?;
        let mut strings = strings.into_iter();
        let texts = said.into_iter().map(|said| said.or_else(|| strings.next()));
        Ok(texts.flatten().collect())
    }

    /// Divides into the rows to train on and the held-out ones, both in their original order. No group has
    /// rows on both sides: what is left over of a group that was touched is on neither.
    pub fn split(&self, held_out: &HeldOut, seed: Seed) -> Result<(Self, Self)> {
        held_out.split(self, seed)
    }

    /// A subset of the rows, drawn without replacement, in their original order.
    pub fn sample(&self, sample: &Sample, seed: Seed) -> Result<Self> {
        sample.of(self, seed)
    }

    /// The category of every row as an index into the names of the categories, which are sorted: as numbers where
    /// all of them are, else as texts.
    pub fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>)> {
        let known: RwLock<HashMap<String, u32>> = RwLock::default();
        let number = |value: &Value| {
            let name = category(value).ok_or("a category")?;
            let poisoned = "no thread panics while it holds the names";
            if let Some(number) = known.read().expect(poisoned).get(name.as_ref()) {
                return Ok(*number);
            }
            let mut known = known.write().expect(poisoned);
            let next = known.len() as u32;
            Ok(*known.entry(name.into_owned()).or_insert(next))
        };
        let mut numbers = self.column(column, number)?;
        let known = known.into_inner().context("a thread panicked")?;
        // In which order threads met the names is chance; the names' own order is not.
        let mut names: Vec<(String, u32)> = known.into_iter().collect();
        names.sort();
        let value = |name: &str| name.parse::<f64>().ok().filter(|value| value.is_finite());
        if names.iter().all(|(name, _)| value(name).is_some()) {
            names.sort_by(|(a, _), (b, _)| {
                value(a).partial_cmp(&value(b)).unwrap_or(Ordering::Equal)
            });
        }
        let mut rank = vec![0; names.len()];
        for (place, (_, number)) in names.iter().enumerate() {
            rank[*number as usize] = place as u32;
        }
        numbers
            .iter_mut()
            .for_each(|number| *number = rank[*number as usize]);
        Ok((numbers, names.into_iter().map(|(name, _)| name).collect()))
    }

    /// The finite number in `column` of every row, which may be written as a string.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        self.column(column, |value| {
            number(value).ok_or_else(|| "a number".to_owned())
        })
    }
}

/// The name of a category: a string, a number or a truth value.
pub(crate) fn category(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests;
