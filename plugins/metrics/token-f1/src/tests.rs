use folkmoot_sdk::native::evaluation::{Reply, answers, observations, scores};
use serde_json::json;

use super::*;
use crate::python::{float, show};
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

/// Exact match and F1 of one row.
fn scored(rules: &str, said: &[&str], row: &Value) -> Result<(f64, f64)> {
    let metric: TokenF1 = serde_json::from_value(json!({ "rules": rules })).unwrap();
    let observed = observations();
    let example = Example::from_json(&row.to_string()).unwrap();
    metric.observe(&example, &answers(vec![Reply::texts(said)]), &observed)?;
    let given = scores();
    metric.summarize(&observed, &given)?;
    let given = given.added.into_inner();
    assert_eq!(given[1].standard_error, None);
    Ok((given[0].value, given[1].value))
}

#[test]
fn answers_are_scored_as_by_squad() {
    let golden = golden("class_metrics.json");
    let text = |index: &Value| {
        golden["texts"][index.as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
    };
    let rows = golden["squad"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for row in rows {
        let right: Vec<&str> = row[1].as_array().unwrap().iter().map(text).collect();
        let said = text(&row[0]);
        let (exact, f1) = scored("squad", &[said], &json!({ "reference": right })).unwrap();
        assert_eq!(exact, row[2].as_f64().unwrap(), "{said:?} {right:?}");
        assert!(
            (f1 - row[3].as_f64().unwrap()).abs() < 1e-12,
            "{said:?} {right:?} {f1} {row}"
        );
    }
}

#[test]
fn answers_are_scored_as_by_drop() {
    let golden = golden("class_metrics.json");
    let text = |index: &Value| {
        golden["texts"][index.as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
    };
    let rows = golden["drop"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for row in rows {
        let texts = |list: &Value| {
            list.as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect::<Vec<_>>()
        };
        let said = texts(&row[0]);
        let right: Vec<Vec<&str>> = row[1].as_array().unwrap().iter().map(texts).collect();
        let (exact, f1) = scored("drop", &said, &json!({ "reference": right })).unwrap();
        let expected = (row[2].as_f64().unwrap(), row[3].as_f64().unwrap());
        assert_eq!((exact, f1), expected, "{said:?} {right:?}");
    }
}

#[test]
fn numbers_are_read_and_written_as_by_python() {
    for row in golden("class_metrics.json")["floats"].as_array().unwrap() {
        let text = row[0].as_str().unwrap();
        assert_eq!(
            float(text).map(show).as_deref(),
            row[1].as_str(),
            "{text:?}"
        );
    }
}

#[test]
fn spans_are_lists_of_lists() {
    let row = json!({ "reference": [["b", "c d"], "x"] });
    assert_eq!(scored("drop", &["c d", "b"], &row), Ok((1.0, 1.0)));
    assert_eq!(scored("drop", &["x"], &row), Ok((1.0, 1.0)));
    assert_eq!(scored("drop", &["b"], &row), Ok((0.0, 0.5)));
    assert_eq!(
        scored("drop", &["5"], &json!({ "reference": "5.0" })),
        Ok((1.0, 1.0))
    );
    let error = scored("drop", &["5"], &json!({ "reference": [["a", 5]] })).unwrap_err();
    assert_eq!(error, "column `reference` holds 5, not text");
    assert_eq!(
        scored("drop", &[], &json!({ "reference": "a" })),
        Ok((0.0, 0.0))
    );
}

#[test]
fn questions_without_an_answer_want_none() {
    let none = json!({ "reference": [] });
    assert_eq!(scored("squad", &[""], &none), Ok((1.0, 1.0)));
    assert_eq!(scored("squad", &["no"], &none), Ok((0.0, 0.0)));
    assert_eq!(
        scored("squad", &[], &json!({ "reference": "" })),
        Ok((1.0, 1.0))
    );
}

#[test]
fn errors_are_those_of_means() {
    let metric: TokenF1 = serde_json::from_value(json!({})).unwrap();
    let observed = observations();
    let example = Example::from_json(r#"{"reference": "b c"}"#).unwrap();
    for text in ["b c", "b", "x", "b c"] {
        metric
            .observe(&example, &answers(vec![Reply::texts(&[text])]), &observed)
            .unwrap();
    }
    let given = scores();
    metric.summarize(&observed, &given).unwrap();
    let given = given.added.into_inner();
    assert_eq!((given[0].value, given[0].standard_error), (0.5, Some(0.25)));
    // F1s 1, 2/3, 0, 1.
    assert!((given[1].value - 2.0 / 3.0).abs() < 1e-15);
    assert!((given[1].standard_error.unwrap() - (2.0f64 / 9.0 / 4.0).sqrt()).abs() < 1e-15);
}
