//! Metrics on the held-out rows: metric plugins ask, the model answers in batches.

mod asked;
pub(crate) mod clients;
pub(crate) mod local;
pub(crate) mod outcome;
pub(crate) mod panel;
mod programs;
pub(crate) mod remote;
pub(crate) mod written;

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use anyhow::{Context, Result};
use folkmoot_data::{Dataset, Shape, Template, Tokenizer};
use folkmoot_params::Params;
use folkmoot_train::{Adapter, Base, Inference};
use serde_json::{Map, Value};

use crate::resolve::Setup;
pub use asked::{Evaluation, OnClients, Stop, Which};
use local::Local;
use panel::{Asked, Example, Judge, Panel, Programs, Scores, Subject, What};

/// Held-out examples, ready to be asked about.
pub struct Evaluator<'a> {
    setup: &'a Setup,
    /// Each example as the JSON object that metrics see.
    examples: Vec<Example>,
    with_references: OnceLock<Vec<Example>>,
}

impl<'a> Evaluator<'a> {
    /// Over the held-out rows of `setup`.
    pub fn new(setup: &'a Setup) -> Result<Self> {
        Self::of(setup, &setup.held_out)
    }

    /// Over these rows.
    pub(crate) fn of(setup: &'a Setup, rows: &Dataset) -> Result<Self> {
        let examples = examples(rows, &setup.template, &setup.tokenizer)?;
        Ok(Self {
            setup,
            examples,
            with_references: OnceLock::new(),
        })
    }

    /// How many rows.
    pub(crate) fn count(&self) -> usize {
        self.examples.len()
    }

    /// The examples; pairs with the log-likelihoods of their answers under the base alone, computed once.
    fn examples(&self, base: &Base) -> Result<&[Example]> {
        if self.setup.experiment.preference.is_none() {
            return Ok(&self.examples);
        }
        if let Some(examples) = self.with_references.get() {
            return Ok(examples);
        }
        let parsed = self
            .examples
            .iter()
            .map(|example| serde_json::from_str(&example.json));
        let mut parsed = parsed.collect::<Result<Vec<Map<String, Value>>, _>>()?;
        // Asked as metrics ask, both answers of an example in turn: batches are the same ones then, and so is
        // their rounding, so that the base's own rewards are exactly 0.
        let answers = Shape::Preference.answers();
        let mut texts = Vec::with_capacity(answers.len() * parsed.len());
        for (example, own) in parsed.iter().enumerate() {
            let text = |key: &str| own[key].as_str().unwrap_or_default().to_owned();
            for (nth, answer) in answers.iter().enumerate() {
                let continuation = text(&format!("{answer}_continuation"));
                texts.push((example, nth, text("prompt"), continuation));
            }
        }
        let asked = texts
            .iter()
            .map(|(example, nth, context, continuation)| Asked {
                example: *example,
                nth: *nth,
                key: 0,
                what: What::Likelihood(context, continuation),
            });
        let subject = self.subject(base, None)?;
        let replies = subject.answer(&asked.collect::<Vec<_>>())?;
        for ((example, nth, ..), reply) in texts.iter().zip(replies) {
            let key = format!("{}_reference", answers[*nth]);
            parsed[*example].insert(key, Value::from(reply.log_likelihood));
        }
        let examples = parsed.into_iter().zip(&self.examples);
        let examples = examples.map(|(own, example)| Example {
            json: Value::Object(own).to_string(),
            place: example.place.clone(),
        });
        Ok(self.with_references.get_or_init(|| examples.collect()))
    }

    /// The scores of the base with `adapter`, or of the base alone.
    pub fn scores(&self, base: &Base, adapter: Option<(&Adapter, &Params)>) -> Result<Scores> {
        Ok(self.observed(base, adapter, None)?.0)
    }

    /// The same; adds what was asked and answered, by metric and example, to `lines`. Also how many prompts were too
    /// long and lost their beginning.
    pub(crate) fn observed(
        &self,
        base: &Base,
        adapter: Option<(&Adapter, &Params)>,
        lines: Option<&mut Vec<Value>>,
    ) -> Result<(Scores, usize)> {
        let examples = self.examples(base)?;
        let subject = self.subject(base, adapter)?;
        let panel = Panel {
            subject: &subject,
            judge: self.setup.judge.as_ref().map(|own| own as &dyn Judge),
            programs: self.setup.programs.as_ref().map(|own| own as &dyn Programs),
            workers: self.setup.workers,
        };
        let scores = panel.scores(&self.setup.metrics, examples, lines);
        Ok((scores.context("evaluation")?, subject.cuts()))
    }

    fn subject<'s>(
        &'s self,
        base: &'s Base,
        adapter: Option<(&'s Adapter, &'s Params)>,
    ) -> Result<Local<'s>> {
        let setup = self.setup;
        Ok(Local {
            inference: Inference::new(base, adapter)?,
            tokenizer: &setup.tokenizer,
            template: Some(&setup.template),
            rendered: true,
            ends: vec![setup.tokenizer.eos(), setup.end_of_response],
            positions: base.positions(),
            cuts: AtomicUsize::new(0),
            batch: setup.experiment.evaluation.batch,
            seed: setup.experiment.seed.derive("evaluation", 0),
            workers: setup.workers,
        })
    }
}

/// Each row as the JSON object that metrics see.
fn examples(
    held_out: &Dataset,
    template: &Template,
    tokenizer: &Tokenizer,
) -> Result<Vec<Example>> {
    let rows = held_out.examples()?;
    let answers = held_out.shape().answers();
    let rows = rows.iter().map(|row| {
        let mut fields = row.fields.clone();
        let prompt = template.prompt(tokenizer, &row.prompt);
        let prompt = prompt.with_context(|| row.place())?;
        fields.insert("prompt".into(), Value::from(prompt));
        for answer in answers {
            let key = match answers.len() {
                1 => "continuation".to_owned(),
                _ => format!("{answer}_continuation"),
            };
            let continuation = template.continuation(tokenizer, &row.prompt, row.text(answer)?);
            let continuation = continuation.with_context(|| row.place())?;
            fields.insert(key, Value::from(continuation));
        }
        // What every metric compares with, unless the data has a column of that name.
        if let ([answer], false) = (answers, fields.contains_key("reference")) {
            let reference = fields.get(*answer).cloned();
            fields.extend(reference.map(|own| ("reference".to_owned(), own)));
        }
        Ok(Example {
            place: row.place(),
            json: Value::Object(fields).to_string(),
        })
    });
    rows.collect()
}
