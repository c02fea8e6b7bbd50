//! `folkmoot score`: metrics on a file of outputs, of whatever stack.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::{Files, Table, Wanted};
use folkmoot_plugin::{Kind, Library, Metric, Plugin, PluginError, Sandbox};
use serde_json::{Map, Value};

use crate::evaluate::panel::{Example, Judge, Panel, Programs, Scores};
use crate::evaluate::written::Written;
use crate::workers::Workers;

/// A file of outputs, read.
pub struct Outputs {
    written: Written,
    examples: Vec<Example>,
}

/// What came of scoring.
pub struct Scored {
    pub scores: Scores,
    /// Per metric and row, if they are wished: what was answered and observed.
    pub records: Vec<Value>,
}

impl Outputs {
    /// Reads rows with `prediction` and `reference` from a file or folder of any format that data may have.
    pub fn read(path: &Path) -> Result<Self> {
        let named = || format!("predictions `{}`", path.display());
        ensure!(path.exists(), "{}: it is not there", named());
        let table = Table::open_all(&Files::find(path, &[], None)?).with_context(named)?;
        ensure!(!table.is_empty(), "{}: there is no row", named());
        let all: Vec<u32> = (0..table.len() as u32).collect();
        let rows = table.map(&all, &Wanted::All, |row, fields| {
            let place = table.place(row);
            match fields {
                Ok(fields) => Ok((place, plain(fields))),
                Err(cause) => bail!("{place}: {cause}"),
            }
        });
        let rows = rows.with_context(named)?;
        let examples = rows.iter().map(|(place, fields)| {
            let mut fields = fields.clone();
            // What was asked is of no account here, so it may have any form.
            if !fields.get("prompt").is_some_and(Value::is_string) {
                fields.insert("prompt".into(), "".into());
            }
            Example {
                place: place.clone(),
                json: Value::Object(fields).to_string(),
            }
        });
        Ok(Self {
            examples: examples.collect(),
            written: Written::new(rows),
        })
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.examples.len()
    }

    /// The scores of `metrics`, in their order. Without a `judge`, what the file has as `judgements` is taken.
    pub fn score(
        &self,
        metrics: &[Metric],
        judge: Option<&dyn Judge>,
        programs: Option<&dyn Programs>,
        workers: Workers,
        recorded: bool,
    ) -> Result<Scored> {
        let panel = Panel {
            subject: &self.written,
            judge: Some(judge.unwrap_or(&self.written)),
            programs,
            workers,
        };
        let mut records = Vec::new();
        let lines = recorded.then_some(&mut records);
        let scores = panel.scores(metrics, &self.examples, lines)?;
        Ok(Scored { scores, records })
    }
}

/// The fields without nulls; predictions and references that are numbers or truth values as text.
fn plain(fields: Map<String, Value>) -> Map<String, Value> {
    let text = |value: Value| match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        other => other,
    };
    let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| match name.as_str() {
        "prediction" | "reference" | "predictions" => match value {
            Value::Array(several) => (name, several.into_iter().map(text).collect()),
            one => (name, text(one)),
        },
        _ => (name, value),
    })
    .collect()
}

/// The metric plugin called `name`, or the one that has a score of that name; refused where several have one.
pub fn find_metric(library: &Library, sandbox: &Sandbox, name: &str) -> Result<Plugin> {
    let unknown = match library.load(sandbox, name, Kind::Metric) {
        Err(unknown @ PluginError::NotFound { .. }) => unknown,
        found => return Ok(found.and_then(|plugin| plugin.expect(Kind::Metric))?),
    };
    let mut having = Vec::new();
    for known in library.names() {
        // What does not load is told when it is asked for by its name.
        let Ok(plugin) = library.load(sandbox, &known, Kind::Metric) else {
            continue;
        };
        if plugin.kind == Kind::Metric && plugin.gives(name) {
            having.push(plugin);
        }
    }
    // A plugin that is called like its score, but for the dash, is meant.
    let own = name.replace('_', "-");
    if let Some(place) = having.iter().position(|plugin| plugin.name == own) {
        return Ok(having.swap_remove(place));
    }
    let names: Vec<&str> = having.iter().map(|plugin| plugin.name.as_str()).collect();
    ensure!(
        having.len() < 2,
        "`{name}` is a score of several metrics: {}\n\nhint: name one of them",
        names.join(", ")
    );
    match having.pop() {
        Some(plugin) => Ok(plugin),
        None => Err(unknown.into()),
    }
}
