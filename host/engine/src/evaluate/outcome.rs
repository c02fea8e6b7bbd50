//! What came of asking, for the record.

use folkmoot_plugin::{Observed, Reply};
use serde_json::{Map, Value, json};

use super::panel::{Example, Found, Scores};

/// One line per example: what was answered, and what was observed.
pub(crate) fn records(metric: &str, examples: &[Example], found: &Found) -> Vec<Value> {
    let observed = found.observations.examples().iter();
    let rows = examples.iter().zip(&found.replies).zip(observed);
    let rows = rows.enumerate();
    rows.map(|(number, ((example, replies), observed))| {
        json!({
            "metric": metric,
            "example": number,
            "place": example.place,
            "row": serde_json::from_str::<Value>(&example.json).unwrap_or_default(),
            "answers": replies.iter().map(answer).collect::<Vec<_>>(),
            "observed": values(observed),
        })
    })
    .collect()
}

/// What there is of an answer.
fn answer(reply: &Reply) -> Value {
    if !reply.texts.is_empty() {
        return match &reply.texts[..] {
            [text] => json!(text),
            texts => json!(texts),
        };
    }
    let ran = reply.succeeded || !reply.output.is_empty() || !reply.failure.is_empty();
    match ran {
        true => json!({
            "succeeded": reply.succeeded,
            "output": reply.output,
            "failure": reply.failure,
        }),
        false => json!({ "log_likelihood": reply.log_likelihood, "tokens": reply.tokens }),
    }
}

/// Sums with their weights, labels as expected and predicted, and notes.
fn values(observed: &Observed) -> Value {
    let mut all = Map::new();
    // A name that is observed several times of an example becomes a list.
    let mut add = |name: &str, value: Value| match all.get_mut(name) {
        None => {
            all.insert(name.to_owned(), json!([value]));
        }
        Some(Value::Array(several)) => several.push(value),
        Some(_) => {}
    };
    for (name, sum, weight) in &observed.values {
        add(name, json!({ "sum": sum, "weight": weight }));
    }
    for (name, expected, predicted) in &observed.labels {
        add(
            name,
            json!({ "expected": expected, "predicted": predicted }),
        );
    }
    for (name, text) in &observed.notes {
        add(name, json!(text));
    }
    for value in all.values_mut() {
        if let Value::Array(several) = value
            && several.len() == 1
        {
            *value = several.remove(0);
        }
    }
    Value::Object(all)
}

/// Scores by names of their own: one that is there already gets the metric's name before it, and the metric's
/// number if that is there, too.
pub(crate) fn named(there: &mut Scores, metric: &str, scores: Scores) {
    let taken: Vec<String> = there.iter().map(|own| own.name.clone()).collect();
    for mut score in scores {
        let plain = score.name.clone();
        let mut number = 1;
        while taken.contains(&score.name) {
            score.name = match number {
                1 => format!("{metric}/{plain}"),
                _ => format!("{metric}-{number}/{plain}"),
            };
            number += 1;
        }
        there.push(score);
    }
}

/// As `folkmoot score` writes scores.
pub fn scores_json(scores: &Scores) -> Value {
    let score = |own: &folkmoot_plugin::Score| {
        json!({
            "name": own.name,
            "value": own.value,
            "standard_error": own.standard_error,
            "higher_is_better": own.higher_is_better,
        })
    };
    Value::Array(scores.iter().map(score).collect())
}
