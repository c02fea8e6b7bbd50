//! Which algorithm ran from which round on, where a run had more than one.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::Experiment;
use crate::resolve::Setup;

/// What `renewals.jsonl` says of an algorithm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Line {
    /// The first that it aggregated.
    round: u32,
    plugin: String,
    sha256: String,
    settings: Value,
}

/// The lines of `renewals.jsonl`, that of round 1 among them; none while one algorithm ran.
pub(crate) struct Renewals {
    first: Line,
    lines: Vec<Line>,
}

impl Line {
    fn of(round: u32, setup: &Setup) -> Result<Self> {
        let algorithm = setup.algorithm.get();
        let plugin = algorithm.plugin();
        Ok(Self {
            round,
            plugin: plugin.name.clone(),
            sha256: plugin.digest.clone(),
            settings: serde_json::to_value(&setup.experiment.algorithm.settings)?,
        })
    }

    fn is_of(&self, other: &Self) -> bool {
        let round = self.round;
        *self
            == Self {
                round,
                ..other.clone()
            }
    }
}

impl Renewals {
    pub(crate) fn new(setup: &Setup) -> Result<Self> {
        Ok(Self {
            first: Line::of(1, setup)?,
            lines: Vec::new(),
        })
    }

    /// Those of a run that was interrupted: its file's text, and what it recorded of its latest algorithm, the only one
    /// if that text is empty.
    pub(crate) fn read(text: &str, experiment: &Experiment, digests: &Value) -> Result<Self> {
        let lines = text.lines().map(serde_json::from_str);
        let lines = lines
            .collect::<Result<Vec<Line>, _>>()
            .context("renewals.jsonl")?;
        let first = match lines.first() {
            Some(first) => first.clone(),
            None => {
                let plugins = digests["plugins"].as_array().into_iter().flatten();
                let mut plugins = plugins.filter(|own| own["kind"] == "algorithm");
                let plugin = plugins.next().context("digests.json has no algorithm")?;
                let text = |key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
                Line {
                    round: 1,
                    plugin: text("name"),
                    sha256: text("sha256"),
                    settings: serde_json::to_value(&experiment.algorithm.settings)?,
                }
            }
        };
        Ok(Self { first, lines })
    }

    /// From round `number` on the algorithm is that of `setup`; what is written down of this and later rounds was not,
    /// or will be done again.
    pub(crate) fn begin(&mut self, number: u32, setup: &Setup) -> Result<()> {
        let own = Line::of(number, setup)?;
        self.lines.retain(|line| line.round < number);
        if self.lines.last().unwrap_or(&self.first).is_of(&own) {
            return Ok(());
        }
        match (self.lines.is_empty(), number) {
            // No round of another one is left.
            (true, 0..=1) => self.first = own,
            (true, _) => self.lines = vec![self.first.clone(), own],
            (false, _) => self.lines.push(own),
        }
        Ok(())
    }

    pub(crate) fn text(&self) -> Result<String> {
        let mut text = String::new();
        // One line says no more than the digests do.
        for line in self.lines.iter().filter(|_| self.lines.len() > 1) {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        Ok(text)
    }
}
