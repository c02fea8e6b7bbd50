//! The text of a question: templates, compiled once, and what they may use.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use super::file::{Prompt, Shots};
use crate::mapping::functions;
use crate::nearest::{listed, nearest};

/// Steps that a template may take for one row.
const FUEL: u64 = 10_000_000;

const BEFORE: &str = "prompt.before";
const TEXT: &str = "prompt.text";
const TARGET: &str = "prompt.target";
const QUESTION: &str = "shots.question";

/// The templates of `[prompt]`.
#[derive(Debug)]
pub(super) struct Texts {
    environment: Environment<'static>,
    between: String,
    /// The template that says which question a row asks.
    question: &'static str,
}

impl Texts {
    pub(super) fn new(prompt: &Prompt, shots: Option<&Shots>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()?;
        environment.set_syntax(syntax);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        functions::add(&mut environment);
        let texts = [
            (BEFORE, &prompt.before),
            (TEXT, &prompt.text),
            (TARGET, &prompt.target),
        ];
        for (name, text) in texts {
            environment
                .add_template_owned(name, text.clone())
                .map_err(|error| explained(name, &error))?;
        }
        let mut question = TEXT;
        if let Some(text) = shots.and_then(|shots| shots.question.as_ref()) {
            environment
                .add_template_owned(QUESTION, text.clone())
                .map_err(|error| explained(QUESTION, &error))?;
            question = QUESTION;
        }
        Ok(Self {
            environment,
            between: prompt.between.clone(),
            question,
        })
    }

    /// Refuses a template that uses what no row that is asked has.
    pub(super) fn check(&self, columns: &BTreeSet<String>) -> Result<()> {
        self.known(&[BEFORE, TEXT, self.question], columns)
    }

    /// Refuses a template that uses what no shot has.
    pub(super) fn check_shots(&self, columns: &BTreeSet<String>) -> Result<()> {
        self.known(&[TEXT, TARGET, self.question], columns)
    }

    fn known(&self, names: &[&str], columns: &BTreeSet<String>) -> Result<()> {
        for name in names {
            let template = self.environment.get_template(name)?;
            let mut used: Vec<String> = template.undeclared_variables(false).into_iter().collect();
            used.sort();
            let known = |own: &str| {
                columns.contains(own) || self.environment.globals().any(|(global, _)| global == own)
            };
            if let Some(unknown) = used.iter().find(|own| !known(own)) {
                let present = || columns.iter().map(String::as_str);
                bail!(
                    "`{name}`: no column `{unknown}`, present are {}{}",
                    listed(present()),
                    nearest(unknown, present())
                );
            }
        }
        Ok(())
    }

    /// What is asked of `row` after `shots`.
    pub(super) fn prompt(&self, row: &Map<String, Value>, shots: &[&Shown]) -> Result<String> {
        let mut prompt = self.rendered(BEFORE, row)?;
        for shot in shots {
            prompt.push_str(&shot.text);
            prompt.push_str(&shot.target);
            prompt.push_str(&self.between);
        }
        prompt.push_str(&self.text(row)?);
        Ok(prompt)
    }

    fn text(&self, row: &Map<String, Value>) -> Result<String> {
        self.rendered(TEXT, row)
    }

    /// Which question a row asks.
    pub(super) fn question(&self, row: &Map<String, Value>) -> Result<String> {
        self.rendered(self.question, row)
    }

    /// A row as a shot.
    pub(super) fn shown(&self, row: &Map<String, Value>) -> Result<Shown> {
        Ok(Shown {
            text: self.rendered(TEXT, row)?,
            target: self.rendered(TARGET, row)?,
            question: self.rendered(self.question, row)?,
        })
    }

    fn rendered(&self, name: &str, row: &Map<String, Value>) -> Result<String> {
        let template = self.environment.get_template(name)?;
        template
            .render(Serde(row))
            .map_err(|error| explained(name, &error))
    }
}

/// A row with its answer.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) target: String,
    pub(super) question: String,
}

/// minijinja's message, which names the template and the line by itself.
fn explained(name: &str, error: &minijinja::Error) -> anyhow::Error {
    let line = error
        .line()
        .map(|line| format!(", line {line}"))
        .unwrap_or_default();
    let detail = error
        .detail()
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    anyhow!("`{name}`{line}: {}{detail}", error.kind())
}
