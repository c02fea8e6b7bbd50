//! `folkmoot eval`: benchmarks, asked of a model here or behind an endpoint.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use folkmoot_data::benchmark::{Benchmark, Mean};
use folkmoot_data::{Role, Template, Tokenizer, Turn};
use folkmoot_plugin::{Kind, Library, Metric, Observations, Plugin, Sandbox, Score};
use serde_json::{Map, Value};

use crate::evaluate::outcome::{named, records};
use crate::evaluate::panel::{
    Example, Found, Judge, Panel, Programs, Scores, Subject, check_helpers,
};
use crate::workers::Workers;

/// A benchmark's questions and what scores their answers.
pub struct Exam {
    pub benchmark: Benchmark,
    rows: Vec<Map<String, Value>>,
    metrics: Vec<Metric>,
}

/// What came of a benchmark.
pub struct Examined {
    /// Over all rows: of all together, or the mean over groups, as the benchmark says.
    pub scores: Scores,
    /// The value of a column, rows of it, and their scores.
    pub groups: Vec<Group>,
    pub rows: usize,
    /// Wall seconds from the first question to the last score.
    pub seconds: f64,
    /// Per metric and row what was answered and observed.
    pub records: Vec<Value>,
}

/// Rows that have the same value in a column.
pub struct Group {
    pub column: String,
    pub value: String,
    pub rows: usize,
    pub scores: Scores,
}

impl Exam {
    /// Whether its metrics say that they give `score`; those that say nothing may give any.
    pub fn gives(&self, score: &str) -> bool {
        let mut plugins = self.metrics.iter().map(Metric::plugin);
        plugins.any(|plugin| plugin.scores().is_empty() || plugin.gives(score))
    }

    /// The plugins that score.
    pub fn plugins(&self) -> impl Iterator<Item = &Plugin> {
        self.metrics.iter().map(Metric::plugin)
    }

    /// `rows` of `benchmark` with its metrics loaded, which may ask a judge or run programs if there are such.
    pub fn new(
        benchmark: Benchmark,
        rows: Vec<Map<String, Value>>,
        library: &Library,
        sandbox: &Sandbox,
        (judge, programs): (bool, bool),
    ) -> Result<Self> {
        let at = || format!("benchmark `{}`", benchmark.name);
        ensure!(!rows.is_empty(), "{}: there is no row", at());
        let load = |own: &folkmoot_data::benchmark::Metric| -> Result<Metric> {
            let plugin = library.load(sandbox, &own.plugin, Kind::Metric)?;
            Ok(Metric::new(plugin, &Value::Object(own.settings.clone()))?)
        };
        let metrics = benchmark.metrics.iter().map(load);
        let metrics = metrics.collect::<Result<Vec<_>>>().with_context(at)?;
        for metric in &metrics {
            check_helpers(metric, judge, programs).with_context(at)?;
        }
        Ok(Self {
            benchmark,
            rows,
            metrics,
        })
    }

    /// Asks every row. `template` goes around the prompts of benchmarks that are asked as a chat; none: they are
    /// asked as they are, which is right for an endpoint that has its own.
    pub fn hold(
        &self,
        subject: &dyn Subject,
        template: Option<(&Template, &Tokenizer)>,
        judge: Option<&dyn Judge>,
        programs: Option<&dyn Programs>,
        workers: Workers,
    ) -> Result<Examined> {
        let at = || format!("benchmark `{}`", self.benchmark.name);
        let panel = Panel {
            subject,
            judge,
            programs,
            workers,
        };
        let started = Instant::now();
        let examples = self.examples(template).with_context(at)?;
        let groups = self.groups();
        let mut examined = Examined {
            scores: Scores::new(),
            groups: groups
                .iter()
                .map(|((place, value), rows)| Group {
                    column: self.benchmark.aggregate.by[*place].clone(),
                    value: value.clone(),
                    rows: rows.len(),
                    scores: Scores::new(),
                })
                .collect(),
            rows: examples.len(),
            seconds: 0.0,
            records: Vec::new(),
        };
        for metric in &self.metrics {
            let name = &metric.plugin().name;
            let found = panel.observe(metric, &examples).with_context(at)?;
            examined.records.extend(records(name, &examples, &found));
            let mut of_groups = Vec::new();
            for (group, rows) in examined.groups.iter_mut().zip(groups.values()) {
                let scores = metric.summarize(&of_rows(&found, rows))?;
                named(&mut group.scores, name, scores.clone());
                of_groups.push(scores);
            }
            let whole = metric.summarize(&found.observations)?;
            let first = groups.keys().filter(|(place, _)| *place == 0).count();
            let scores = match self.benchmark.aggregate.mean {
                Mean::Macro if first > 0 => over_groups(&whole, &of_groups[..first]),
                _ => whole,
            };
            named(&mut examined.scores, name, scores);
        }
        examined.seconds = started.elapsed().as_secs_f64();
        Ok(examined)
    }

    fn examples(&self, template: Option<(&Template, &Tokenizer)>) -> Result<Vec<Example>> {
        let name = &self.benchmark.name;
        let example = |(number, fields): (usize, &Map<String, Value>)| {
            let place = format!("{name}, question {}", number + 1);
            let mut fields = fields.clone();
            if let (true, Some((template, tokenizer))) = (self.benchmark.chat, template)
                && let Some(Value::String(prompt)) = fields.get("prompt")
            {
                let turn = Turn::new(Role::User, prompt.as_str());
                let prompt = template.prompt(tokenizer, &[turn]);
                let prompt = prompt.with_context(|| place.clone())?;
                fields.insert("prompt".into(), Value::from(prompt));
            }
            fields.entry("prompt").or_insert_with(|| "".into());
            Ok(Example {
                place,
                json: Value::Object(fields).to_string(),
            })
        };
        self.rows.iter().enumerate().map(example).collect()
    }

    /// Rows by the place of a column in `aggregate.by` and their value in it.
    fn groups(&self) -> BTreeMap<(usize, String), Vec<usize>> {
        let mut groups: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
        for (place, column) in self.benchmark.aggregate.by.iter().enumerate() {
            for (number, fields) in self.rows.iter().enumerate() {
                let value = match fields.get(column) {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => continue,
                };
                groups.entry((place, value)).or_default().push(number);
            }
        }
        groups
    }
}

fn of_rows(found: &Found, rows: &[usize]) -> Observations {
    let all = found.observations.examples();
    rows.iter().map(|row| all[*row].clone()).collect()
}

/// The mean of each score over groups, each group counting alike; its standard error is √(Σ se²)/G of
/// independent groups.
fn over_groups(whole: &Scores, groups: &[Scores]) -> Scores {
    let mean = |score: &Score| {
        let own: Vec<&Score> = groups
            .iter()
            .filter_map(|scores| scores.iter().find(|own| own.name == score.name))
            .collect();
        if own.is_empty() {
            return score.clone();
        }
        let count = own.len() as f64;
        let squares: Option<f64> = own
            .iter()
            .map(|own| own.standard_error.map(|error| error * error))
            .sum();
        Score {
            value: own.iter().map(|own| own.value).sum::<f64>() / count,
            standard_error: squares.map(|squares| squares.sqrt() / count),
            ..score.clone()
        }
    };
    whole.iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_count_alike() {
        let score = |value, error| {
            vec![Score {
                name: "acc".into(),
                value,
                higher_is_better: true,
                standard_error: Some(error),
            }]
        };
        let mean = over_groups(&score(0.9, 0.1), &[score(1.0, 0.3), score(0.0, 0.4)]);
        assert_eq!((mean[0].value, mean[0].standard_error), (0.5, Some(0.25)));
    }
}
