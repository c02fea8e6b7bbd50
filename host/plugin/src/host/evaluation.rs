//! `evaluation`: questions, answers, observations and scores.

use std::collections::BTreeMap;

use serde::Deserialize;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::{Host, refuse};
use crate::bindings::folkmoot::plugin::evaluation;

/// Something a metric wants to know of the model.
#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    /// The greedy continuation of `prompt`, cut at the first of `stop`.
    Generate {
        prompt: String,
        max_tokens: u32,
        stop: Vec<String>,
    },
    /// Log-likelihood of `continuation` after `context`; of the whole text where the context is empty.
    Likelihood {
        context: String,
        continuation: String,
    },
}

/// The model's answer to one question.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Reply {
    pub texts: Vec<String>,
    pub log_likelihood: f64,
    pub tokens: u32,
    pub greedy: bool,
}

/// One score of a metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Score {
    pub name: String,
    pub value: f64,
    pub higher_is_better: bool,
    pub standard_error: Option<f64>,
}

/// Questions asked in one call.
#[derive(Default)]
pub struct Asked(pub(crate) Vec<Question>);

/// Answers so far, in the order of the questions.
pub struct Answers(pub(crate) Vec<Reply>);

/// Quantities that add over examples.
#[derive(Clone, Default, Debug)]
pub struct Observed {
    pub(crate) values: BTreeMap<String, Vec<(f64, f64)>>,
    pub(crate) labels: BTreeMap<String, Vec<(String, String)>>,
}

impl Observed {
    /// Appends what was observed of later examples.
    pub(crate) fn extend(&mut self, other: Self) {
        for (name, values) in other.values {
            self.values.entry(name).or_default().extend(values);
        }
        for (name, labels) in other.labels {
            self.labels.entry(name).or_default().extend(labels);
        }
    }
}

/// Scores of a metric.
#[derive(Default)]
pub struct Scored(pub(crate) Vec<Score>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GenerateOptions {
    #[serde(default = "default_max_tokens")]
    max_tokens: u32,
    #[serde(default)]
    stop: Vec<String>,
}

fn default_max_tokens() -> u32 {
    16
}

impl evaluation::HostQuestions for Host {
    fn generate(&mut self, this: Resource<Asked>, prompt: String, options: String) -> Result<()> {
        let options: GenerateOptions = serde_json::from_str(&options)
            .map_err(|error| refuse(format!("`questions.generate`: options: {error}")))?;
        self.table.get_mut(&this)?.0.push(Question::Generate {
            prompt,
            max_tokens: options.max_tokens,
            stop: options.stop,
        });
        Ok(())
    }

    fn likelihood(
        &mut self,
        this: Resource<Asked>,
        context: String,
        continuation: String,
    ) -> Result<()> {
        self.table.get_mut(&this)?.0.push(Question::Likelihood {
            context,
            continuation,
        });
        Ok(())
    }

    fn perplexity(&mut self, this: Resource<Asked>, text: String) -> Result<()> {
        evaluation::HostQuestions::likelihood(self, this, String::new(), text)
    }

    fn drop(&mut self, this: Resource<Asked>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Host {
    fn reply(&self, this: &Resource<Answers>, index: u32) -> Result<&Reply> {
        let answers = &self.table.get(this)?.0;
        let message = || format!("`answers`: there is no answer {index} of {}", answers.len());
        answers.get(index as usize).ok_or_else(|| refuse(message()))
    }
}

impl evaluation::HostAnswers for Host {
    fn count(&mut self, this: Resource<Answers>) -> Result<u32> {
        Ok(self.table.get(&this)?.0.len() as u32)
    }

    fn texts(&mut self, this: Resource<Answers>, index: u32) -> Result<Vec<String>> {
        Ok(self.reply(&this, index)?.texts.clone())
    }

    fn log_likelihood(&mut self, this: Resource<Answers>, index: u32) -> Result<f64> {
        Ok(self.reply(&this, index)?.log_likelihood)
    }

    fn tokens(&mut self, this: Resource<Answers>, index: u32) -> Result<u32> {
        Ok(self.reply(&this, index)?.tokens)
    }

    fn greedy(&mut self, this: Resource<Answers>, index: u32) -> Result<bool> {
        Ok(self.reply(&this, index)?.greedy)
    }

    fn drop(&mut self, this: Resource<Answers>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::HostObservations for Host {
    fn add(&mut self, this: Resource<Observed>, name: String, sum: f64, weight: f64) -> Result<()> {
        let values = &mut self.table.get_mut(&this)?.values;
        values.entry(name).or_default().push((sum, weight));
        Ok(())
    }

    fn label(
        &mut self,
        this: Resource<Observed>,
        name: String,
        expected: String,
        predicted: String,
    ) -> Result<()> {
        let labels = &mut self.table.get_mut(&this)?.labels;
        labels.entry(name).or_default().push((expected, predicted));
        Ok(())
    }

    fn names(&mut self, this: Resource<Observed>) -> Result<Vec<String>> {
        let observed = self.table.get(&this)?;
        let mut names: Vec<String> = observed
            .values
            .keys()
            .chain(observed.labels.keys())
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn values(&mut self, this: Resource<Observed>, name: String) -> Result<Vec<(f64, f64)>> {
        let values = &self.table.get(&this)?.values;
        Ok(values.get(&name).cloned().unwrap_or_default())
    }

    fn labels(&mut self, this: Resource<Observed>, name: String) -> Result<Vec<(String, String)>> {
        let labels = &self.table.get(&this)?.labels;
        Ok(labels.get(&name).cloned().unwrap_or_default())
    }

    fn drop(&mut self, this: Resource<Observed>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::HostScores for Host {
    fn add(
        &mut self,
        this: Resource<Scored>,
        name: String,
        value: f64,
        higher_is_better: bool,
        standard_error: Option<f64>,
    ) -> Result<()> {
        self.table.get_mut(&this)?.0.push(Score {
            name,
            value,
            higher_is_better,
            standard_error,
        });
        Ok(())
    }

    fn drop(&mut self, this: Resource<Scored>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::Host for Host {}
