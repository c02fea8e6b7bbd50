//! What the file of a benchmark says. It reads nothing else.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::shots::Choose;
use super::source::{Join, Sampled, TestPart};
use crate::mapping::{Filter, Mapping};
use crate::nearest::{listed, nearest};

/// The file, in the order of the data's flow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) summary: String,
    pub(super) licence: String,
    pub(super) citation: Vec<String>,
    #[serde(default)]
    pub(super) chat: bool,
    pub(super) data: Data,
    #[serde(default)]
    pub(super) shots: Option<Shots>,
    #[serde(default)]
    pub(super) prompt: Option<Prompt>,
    pub(super) metrics: Vec<Metric>,
    #[serde(default)]
    pub(super) aggregate: Aggregate,
    /// What each variant says instead.
    #[serde(default)]
    pub(super) variants: BTreeMap<String, toml::Table>,
}

/// `[data]`: the rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A name of the catalogue, `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`, or a file or folder relative to the
    /// benchmark's file.
    pub source: String,
    /// Of a folder or of the hub: globs over paths, of which the files are taken.
    #[serde(default)]
    pub files: Vec<String>,
    /// Of a folder or of the hub: the split whose files are taken.
    #[serde(default)]
    pub split: Option<String>,
    /// Another way of the catalogue's entry to make its columns.
    #[serde(default)]
    pub variant: Option<String>,
    /// Columns to make: from another by name, or by an expression. Metrics look for `reference`, `choices`, `answer`,
    /// `turns` and others by name.
    #[serde(default)]
    pub columns: Mapping,
    /// Columns of other rows, found by a value that both have.
    #[serde(default)]
    pub join: Vec<Join>,
    /// An expression over the columns; rows of which it is not true are not asked.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// The test part of rows that come without one.
    #[serde(default)]
    pub test_part: Option<TestPart>,
    /// Some of the rows, always the same.
    #[serde(default)]
    pub sample: Option<Sampled>,
}

impl Data {
    /// All rows of `source` as they are.
    pub(super) fn of(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            files: Vec::new(),
            split: None,
            variant: None,
            columns: Mapping::default(),
            join: Vec::new(),
            filter: None,
            test_part: None,
            sample: None,
        }
    }
}

/// `[shots]`: rows shown with their answers before the question. The row that is asked is never among them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shots {
    /// How many.
    pub count: usize,
    /// Where they are from; where it is not given, the rows themselves. Its columns are those of `[data]` unless it
    /// makes some.
    #[serde(default)]
    pub data: Option<Data>,
    /// The shots themselves, with the columns that the prompt uses.
    #[serde(default)]
    pub fixed: Vec<Map<String, Value>>,
    /// A column in which a shot has the value of the row.
    #[serde(default, rename = "match")]
    pub same: Option<String>,
    /// Which of those that could be.
    #[serde(default)]
    pub choose: Choose,
    /// What shots are drawn with.
    #[serde(default)]
    pub seed: u64,
    /// A template that says which question a row asks: where it says the same of two, neither is a shot of the other.
    /// `prompt.text` where it is not given.
    #[serde(default)]
    pub question: Option<String>,
    /// Whether rows that are shots are not asked.
    #[serde(default)]
    pub set_aside: bool,
    /// With them, rows that have the same value in this column.
    #[serde(default)]
    pub apart: Option<String>,
}

impl Shots {
    /// Whether they are from the rows that are asked.
    pub(super) fn own_rows(&self) -> bool {
        self.data.is_none() && self.fixed.is_empty()
    }
}

/// `[prompt]`: minijinja templates over a row's columns. What is asked is `before`, then of each shot `text`, `target`
/// and `between`, then `text` of the row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Once, before the shots.
    #[serde(default)]
    pub before: String,
    /// The question, up to where the answer starts.
    pub text: String,
    /// The answer, as a shot shows it: with the space before it, if there is one.
    #[serde(default)]
    pub target: String,
    /// What follows a shot.
    #[serde(default = "blank_line")]
    pub between: String,
}

fn blank_line() -> String {
    "\n\n".to_owned()
}

/// One of `[[metrics]]`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The plugin.
    pub plugin: String,
    /// Its settings, which only the plugin understands.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// `[aggregate]`: what scores are averaged over.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Columns of whose values each has scores of its own.
    #[serde(default)]
    pub by: Vec<String>,
    /// What the score of all is.
    #[serde(default)]
    pub mean: Mean,
}

/// What the score of all rows is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mean {
    /// Of all rows together.
    #[default]
    Micro,
    /// The mean of the scores of the values of the first column of `by`.
    Macro,
}

impl File {
    /// The file as `variant` has it.
    pub(super) fn parse(text: &str, variant: Option<&str>) -> Result<Self> {
        let file: Self = toml::from_str(text).map_err(|error| explained(&error))?;
        let Some(variant) = variant else {
            return Ok(file);
        };
        let changes = file.variants.get(variant).with_context(|| {
            let known = || file.variants.keys().map(String::as_str);
            format!(
                "no such variant{}, known are {}",
                nearest(variant, known()),
                listed(known())
            )
        })?;
        let mut table: toml::Table = toml::from_str(text).context("a table")?;
        merge(&mut table, changes, true);
        table.try_into().map_err(|error| explained(&error))
    }
}

/// `changes` over `table`: tables are merged, `false` takes out what is no truth value, everything else
/// is replaced. A variant with another
/// `data.source` says all of `[data]`.
fn merge(table: &mut toml::Table, changes: &toml::Table, top: bool) {
    for (key, change) in changes {
        let whole = top && key == "data" && change.get("source").is_some();
        match (table.get_mut(key), change) {
            (Some(toml::Value::Table(own)), toml::Value::Table(change)) if !whole => {
                merge(own, change, false);
            }
            (Some(own), toml::Value::Boolean(false)) if !own.is_bool() => {
                table.remove(key);
            }
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

/// toml's message, with the nearest known key where one was misspelt.
pub(super) fn explained(error: &toml::de::Error) -> anyhow::Error {
    let shown = error.to_string();
    let shown = shown.trim_end();
    let hint = error
        .message()
        .strip_prefix("unknown field `")
        .and_then(|rest| {
            let (field, known) = rest.split_once('`')?;
            let hint = nearest(field, known.split('`').skip(1).step_by(2));
            let hint = hint.strip_prefix(", nearest is ")?.to_owned();
            Some(format!("\nhint: did you mean {hint}?"))
        });
    anyhow!("{shown}{}", hint.unwrap_or_default())
}
