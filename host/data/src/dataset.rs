//! Rows with a meaning: instructions with their responses, conversations, pairs of answers, texts. Rows stay in
//! their files and are read again when they are needed. It neither tokenizes nor deals rows out to clients.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, anyhow, bail};
use folkmoot_params::Seed;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mapping::{Mapping, Steps};
use crate::nearest::{listed, nearest};
use crate::table::{Table, Wanted};

pub use broken::{Broken, Fault, OnBroken, OnTooLong, Report};
pub use conversation::{Role, Turn};
pub use held_out::HeldOut;
pub use pairing::Pairing;
pub use sample::Sample;

mod broken;
mod conversation;
mod held_out;
mod pairing;
mod sample;

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `instruction` and `response`. The instruction is a text or a list of messages.
    Instruction,
    /// `messages`, of which the assistant's are learnt.
    Chat,
    /// `instruction`, `chosen` and `rejected`. The instruction is a text or a list of messages.
    Preference,
    /// `instruction` and `label`, which is learnt as a text.
    Classification,
    /// `text`, all of which is learnt.
    Text,
    /// Whatever they are: rows that are only dealt out.
    #[serde(skip)]
    Rows,
}

impl Shape {
    const ALL: [Self; 5] = [
        Self::Instruction,
        Self::Chat,
        Self::Preference,
        Self::Classification,
        Self::Text,
    ];

    /// The columns that a row of this shape has.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Instruction => &["instruction", "response"],
            Self::Chat => &["messages"],
            Self::Preference => &["instruction", "chosen", "rejected"],
            Self::Classification => &["instruction", "label"],
            Self::Text => &["text"],
            Self::Rows => &[],
        }
    }

    /// The columns of an [`Example`] that hold answers.
    pub fn answers(self) -> &'static [&'static str] {
        match self {
            Self::Preference => &["chosen", "rejected"],
            _ => &["response"],
        }
    }

    /// The first shape, other than of pairs, whose columns are all there.
    pub fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        let all = Self::ALL.into_iter().filter(|own| *own != Self::Preference);
        let mut fitting = all.filter(|own| own.columns().iter().all(|column| has(column)));
        fitting.next()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instruction => "instruction",
            Self::Chat => "chat",
            Self::Preference => "preference",
            Self::Classification => "classification",
            Self::Text => "text",
            Self::Rows => "rows",
        })
    }
}

/// One row: its columns, and what is made of them.
#[derive(Clone, Debug)]
pub struct Example {
    /// The fields by column name. The answers are strings, whatever the shape.
    pub fields: Map<String, Value>,
    /// What goes before the answer; of a text nothing.
    pub prompt: Vec<Turn>,
    source: Arc<Source>,
    row: usize,
}

impl Example {
    /// File and line, or file and row.
    pub fn place(&self) -> String {
        self.source.table.place(self.row)
    }

    /// The string in `column`.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.field(column)? {
            Value::String(text) => Ok(text),
            other => bail!(
                "{}: column `{column}` has `{other}` where a string was expected",
                self.place()
            ),
        }
    }

    /// Its number in the table.
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// The prompt with one of the answers.
    pub fn turns(&self, answer: &str) -> Result<Vec<Turn>> {
        let mut turns = self.prompt.clone();
        turns.push(Turn::new(Role::Assistant, self.text(answer)?));
        Ok(turns)
    }

    fn said(&self) -> Result<String> {
        let answer = self.text("response").or_else(|_| self.text("chosen"))?;
        let mut said = String::new();
        for turn in &self.prompt {
            said.push_str(&turn.content);
            said.push('\n');
        }
        said.push_str(answer);
        Ok(said)
    }

    fn field(&self, column: &str) -> Result<&Value> {
        self.fields.get(column).ok_or_else(|| {
            let present = || self.fields.keys().map(String::as_str);
            anyhow!(
                "{}: no column `{column}`, present are {}{}",
                self.place(),
                listed(present()),
                nearest(column, present())
            )
        })
    }
}

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
        let input = !meaning.columns.makes("instruction") && has("instruction") && has("input");
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

    /// What every example says: its prompt and its (preferred) answer, a line each.
    pub fn texts(&self) -> Result<Vec<String>> {
        self.map_shaped(|_, example| {
            let example = example.map_err(|(row, broken)| self.error(row, &broken))?;
            example.said()
        })
    }

    /// What one example says.
    pub fn text(&self, index: usize) -> Result<String> {
        let mut texts = self.of(vec![self.rows[index]]).texts()?;
        texts.pop().context("one row makes one text")
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

    /// The category of every row as an index into the sorted names of the categories.
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
fn category(value: &Value) -> Option<Cow<'_, str>> {
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

impl Source {
    /// The fields with their answers as strings, and what goes before them.
    fn example(
        &self,
        mut fields: Map<String, Value>,
    ) -> Result<(Map<String, Value>, Vec<Turn>), Broken> {
        let mut prompt = Vec::new();
        if let Some(instruction) = fields
            .get("instruction")
            .filter(|_| self.shape.columns().contains(&"instruction"))
        {
            match instruction {
                Value::String(text) => {
                    filled("instruction", text)?;
                    let mut turn = Turn::new(Role::User, text.as_str());
                    if let Some(Value::String(input)) = fields.get("input").filter(|_| self.input)
                        && !input.trim().is_empty()
                    {
                        turn.input = Some(input.clone());
                    }
                    prompt.push(turn);
                }
                messages => prompt = Turn::list("instruction", messages)?,
            }
        }
        let required = |column: &str| {
            let value = fields.get(column);
            value.ok_or_else(|| Fault::Missing.because(format!("no field `{column}`")))
        };
        if self.shape.columns().contains(&"instruction") {
            required("instruction")?;
        }
        match self.shape {
            Shape::Instruction => filled("response", string("response", required("response")?)?)?,
            Shape::Preference => {
                for answer in ["chosen", "rejected"] {
                    filled(answer, string(answer, required(answer)?)?)?;
                }
            }
            Shape::Classification => {
                let label = required("label")?;
                let name = category(label).map(Cow::into_owned);
                let name = name.ok_or_else(|| wrong_type("label", label, "a category"))?;
                filled("label", &name)?;
                fields.insert("response".into(), Value::from(name));
            }
            Shape::Text => {
                let text = string("text", required("text")?)?.to_owned();
                filled("text", &text)?;
                fields.insert("response".into(), Value::from(text));
            }
            Shape::Rows => {}
            Shape::Chat => {
                prompt = Turn::list("messages", required("messages")?)?;
                // What is said after the last answer is nothing to learn.
                while prompt
                    .last()
                    .is_some_and(|turn| turn.role != Role::Assistant)
                {
                    prompt.pop();
                }
                let Some(last) = prompt.pop() else {
                    return Err(Fault::Empty.because("`messages` has none of an assistant"));
                };
                filled("messages", &last.content)?;
                fields.insert("response".into(), Value::from(last.content));
            }
        }
        Ok((fields, prompt))
    }

    /// Whether a row can be used; where values have to be distinct, what they are.
    fn sound(&self, fields: Map<String, Value>, meaning: &Meaning) -> Result<Option<u128>, Broken> {
        let (fields, _) = self.example(fields)?;
        if let Some(Labels { column, set }) = &meaning.labels {
            let value = fields.get(column);
            let value =
                value.ok_or_else(|| Fault::Missing.because(format!("no field `{column}`")))?;
            let label = category(value).ok_or_else(|| wrong_type(column, value, "a category"))?;
            if !set.iter().any(|known| *known == label) {
                return Err(Fault::Label.because(format!(
                    "`{column}` is `{label}`, which is not one of {}{}",
                    listed(set.iter().map(String::as_str)),
                    nearest(&label, set.iter().map(String::as_str))
                )));
            }
        }
        if meaning.distinct.is_empty() {
            return Ok(None);
        }
        let values = meaning.distinct.iter().map(|column| fields.get(column));
        let values: Vec<_> = values.collect();
        let text =
            serde_json::to_vec(&values).map_err(|error| Fault::Type.because(error.to_string()))?;
        Ok(Some(digest(&text)))
    }
}

/// The first half of a SHA-256: equal for equal values, and for others in no data set that there is.
fn digest(bytes: &[u8]) -> u128 {
    use sha2::Digest;
    let whole = sha2::Sha256::digest(bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    u128::from_le_bytes(half)
}

fn string<'a>(column: &str, value: &'a Value) -> Result<&'a str, Broken> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(column, value, "a string"))
}

fn wrong_type(column: &str, value: &Value, expected: &str) -> Broken {
    let kind = conversation::kind(value);
    Fault::Type.because(format!(
        "`{column}` is {kind} where {expected} was expected"
    ))
}

fn filled(column: &str, text: &str) -> Result<(), Broken> {
    match text.trim().is_empty() {
        true => Err(Fault::Empty.because(format!("empty `{column}`"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
