//! What expressions and prompts know of lists beside what minijinja does.

#![allow(
    clippy::needless_pass_by_value,
    reason = "minijinja hands arguments over by value"
)]

use folkmoot_params::Seed;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use rand::seq::SliceRandom;

/// Adds `shuffled(list, key)`, `position(list, value)` `lettered(list, before, after)` and
/// `drop_answers(answer, validated_answers)`.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_function("shuffled", shuffled);
    environment.add_function("position", position);
    environment.add_function("lettered", lettered);
    environment.add_function("drop_answers", drop_answers);
}

/// The values in an order that `key` determines: the same on every machine, so that the options of a question do not
/// stand in the order in which they were written down, often the right one first.
fn shuffled(values: Vec<Value>, key: &str) -> Vec<Value> {
    let mut values = values;
    let seed = Seed(0).derive(&format!("shuffled {key}"), 0);
    values.shuffle(&mut seed.rng());
    values
}

/// Where the value is in the list, from 0.
fn position(values: Vec<Value>, value: Value) -> Result<usize, Error> {
    let at = values.iter().position(|own| *own == value);
    at.ok_or_else(|| {
        let cause = format!("`{value}` is not in the list");
        Error::new(ErrorKind::InvalidOperation, cause)
    })
}

/// The values, a line each, after a capital letter with `before` and `after` around it.
fn lettered(values: Vec<Value>, before: &str, after: &str) -> Result<String, Error> {
    if values.len() > 26 {
        let cause = format!("there are {} values and 26 letters", values.len());
        return Err(Error::new(ErrorKind::InvalidOperation, cause));
    }
    let lines = ('A'..='Z')
        .zip(values)
        .map(|(letter, value)| format!("{before}{letter}{after}{value}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// DROP's answers, each a list of spans: the first annotator's and those of the others that say something else. An answer
/// is a number, else spans, else a date; of the others, `validated`, each field is a list.
fn drop_answers(answer: Value, validated: Value) -> Result<Vec<Vec<String>>, Error> {
    let mut answers = vec![drop_answer(
        &answer.get_attr("number")?,
        &answer.get_attr("spans")?,
        &answer.get_attr("date")?,
    )?];
    let fields = ["number", "spans", "date"].map(|field| validated.get_attr(field));
    let [numbers, spans, dates] = fields;
    let (numbers, spans, dates) = (numbers?, spans?, dates?);
    for index in 0..numbers.len().unwrap_or(0) {
        let of = |list: &Value| list.get_item(&Value::from(index));
        let other = drop_answer(&of(&numbers)?, &of(&spans)?, &of(&dates)?)?;
        if !answers.contains(&other) {
            answers.push(other);
        }
    }
    Ok(answers)
}

fn drop_answer(number: &Value, spans: &Value, date: &Value) -> Result<Vec<String>, Error> {
    if number.is_true() {
        return Ok(vec![number.to_string()]);
    }
    if spans.len().is_some_and(|count| count > 0) {
        return Ok(spans.try_iter()?.map(|span| span.to_string()).collect());
    }
    let mut said = Vec::new();
    for part in ["day", "month", "year"] {
        said.push(date.get_attr(part)?.to_string());
    }
    Ok(vec![said.join(" ").trim().to_owned()])
}
