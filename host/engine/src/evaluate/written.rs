//! A file of outputs, of whatever stack, as the one that is asked.

use anyhow::{Context, Result, bail, ensure};
use folkmoot_plugin::Reply;
use serde_json::{Map, Value};

use super::panel::{Asked, Judge, Judged, Subject, What};

/// Rows with `prediction`, and what else a metric wants: `predictions` (a list: one per turn),
/// `log_likelihoods` and `token_counts` (lists: one per likelihood that the metric asks), `judgements` (a list:
/// what a judge said).
pub(crate) struct Written {
    rows: Vec<(String, Map<String, Value>)>,
    /// Whether rows have `token_counts`.
    counts: bool,
}

impl Written {
    /// Rows with the place each came from.
    pub(crate) fn new(rows: Vec<(String, Map<String, Value>)>) -> Self {
        let counts = rows
            .iter()
            .any(|(_, fields)| fields.contains_key("token_counts"));
        Self { rows, counts }
    }

    /// The `nth` of a list, or why it is not there.
    fn of_list(&self, example: usize, column: &str, nth: usize) -> Result<Option<&Value>> {
        let (place, fields) = &self.rows[example];
        match fields.get(column) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) => {
                let own = list.get(nth).with_context(|| {
                    let count = list.len();
                    format!(
                        "{place}: `{column}` has {count} entries, the metric asks for {}",
                        nth + 1
                    )
                })?;
                Ok(Some(own))
            }
            Some(other) => bail!("{place}: `{column}` is {other}, not a list"),
        }
    }

    fn number(&self, example: usize, column: &str, nth: usize) -> Result<Option<f64>> {
        let Some(own) = self.of_list(example, column, nth)? else {
            return Ok(None);
        };
        let place = &self.rows[example].0;
        let number = own.as_f64();
        Ok(Some(number.with_context(|| {
            format!("{place}: `{column}` holds {own}, not a number")
        })?))
    }

    fn generated(&self, asked: &Asked) -> Result<Vec<String>> {
        let (place, fields) = &self.rows[asked.example];
        let value = match self.of_list(asked.example, "predictions", asked.nth)? {
            Some(own) => own,
            None => fields.get("prediction").with_context(|| {
                let there: Vec<&str> = fields.keys().map(String::as_str).collect();
                format!("{place}: no `prediction`; there are: {}", there.join(", "))
            })?,
        };
        match value {
            Value::Array(samples) => samples.iter().map(|own| text(place, own)).collect(),
            own => Ok(vec![text(place, own)?]),
        }
    }
}

/// A text, or a number or truth value as JSON spells it.
fn text(place: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => bail!("{place}: `prediction` is {other}, not a text"),
    }
}

impl Subject for Written {
    fn answer(&self, asked: &[Asked]) -> Result<Vec<Reply>> {
        let answer = |asked: &Asked| match asked.what {
            What::Generate(_, how) => {
                let texts = self.generated(asked)?;
                ensure!(
                    texts.len() == 1 || how.samples > 1,
                    "{}: {} predictions, the metric takes one",
                    self.rows[asked.example].0,
                    texts.len()
                );
                Ok(Reply {
                    texts,
                    ..Reply::default()
                })
            }
            What::Likelihood(..) => {
                let place = &self.rows[asked.example].0;
                let own = self.number(asked.example, "log_likelihoods", asked.nth)?;
                let log_likelihood = own.with_context(|| {
                    format!("{place}: the metric asks for log-likelihoods, and there is no `log_likelihoods`")
                })?;
                let tokens = self.number(asked.example, "token_counts", asked.nth)?;
                // None has them, or all: half of them would be half a perplexity.
                ensure!(
                    tokens.is_some() == self.counts,
                    "{place}: no `token_counts`, which other rows have"
                );
                let tokens = tokens.unwrap_or(0.0);
                ensure!(
                    tokens.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&tokens),
                    "{place}: `token_counts` holds {tokens}, not a number of tokens"
                );
                Ok(Reply {
                    log_likelihood,
                    tokens: tokens as u32,
                    ..Reply::default()
                })
            }
        };
        asked.iter().map(answer).collect()
    }
}

impl Judge for Written {
    fn judge(&self, questions: &[Judged]) -> Result<Vec<Vec<String>>> {
        let judge = |own: &Judged| {
            let place = &self.rows[own.example].0;
            let said = self.of_list(own.example, "judgements", own.nth)?;
            let said = said.with_context(|| {
                format!("{place}: the metric asks a judge, and there is neither a judge nor `judgements`")
            })?;
            Ok(vec![text(place, said)?])
        };
        questions.iter().map(judge).collect()
    }
}
