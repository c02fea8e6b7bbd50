use folkmoot_sdk::native::evaluation::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

fn metric(settings: Value) -> Accuracy {
    serde_json::from_value(settings).unwrap()
}

fn example(row: &Value) -> Example {
    Example::from_json(&row.to_string()).unwrap()
}

/// Scores of (row, text).
fn scored(metric: &Accuracy, rows: &[(Value, &str)]) -> Result<Vec<Score>> {
    let observed = observations();
    for (row, text) in rows {
        let said = answers(vec![Reply::texts(&[text])]);
        metric.observe(&example(row), &said, &observed)?;
    }
    let given = scores();
    metric.summarize(&observed, &given)?;
    Ok(given.added.into_inner())
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let text = |index: &Value| {
        golden["texts"][index.as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
    };
    let (mut examples, mut worst) = (0, 0.0f64);
    for case in golden["accuracy"].as_array().unwrap() {
        let metric = metric(case["settings"].clone());
        let rows = case["expected"].as_array().unwrap().iter();
        let texts = case["texts"].as_array().unwrap().iter().map(text);
        let rows: Vec<(Value, &str)> = rows
            .map(|label| json!({ "reference": label }))
            .zip(texts)
            .collect();
        for ((_, text), said) in rows.iter().zip(case["said"].as_array().unwrap()) {
            let found = metric.find(text).unwrap().unwrap_or_default();
            assert_eq!(
                found,
                said.as_str().unwrap(),
                "{text:?} {}",
                case["settings"]
            );
            examples += 1;
        }
        let given = scored(&metric, &rows).unwrap();
        assert_eq!(given.len(), Accuracy::SCORES.len());
        for (score, info) in given.iter().zip(Accuracy::SCORES) {
            let expected = case["scores"][&score.name].as_f64().unwrap();
            worst = worst.max((score.value - expected).abs());
            assert!((score.value - expected).abs() < 1e-12, "{score:?} {case}");
            assert_eq!(score.name, info.name);
            assert_eq!(
                score.standard_error.is_some(),
                rows.len() > 1 || info.name == "accuracy"
            );
        }
    }
    println!("{examples} examples, worst difference {worst:e}");
    assert!(examples > 2000);
}

#[test]
fn finds_the_earliest_whole_word() {
    let metric = metric(json!({ "labels": ["negative", "neutral", "positive"] }));
    let check = |text, expected| assert_eq!(metric.find(text), Ok(expected), "{text}");
    check(" Positive.", Some("positive"));
    check("rather neutral than negative", Some("neutral"));
    check("notpositive, negative", Some("negative"));
    check("nothing", None);
}

#[test]
fn overlapping_and_longer_labels_are_found() {
    let metric = metric(json!({ "labels": ["a a", "a a b", "é"] }));
    assert_eq!(metric.find("xa a a"), Ok(Some("a a")));
    assert_eq!(metric.find("A a b"), Ok(Some("a a b")));
    assert_eq!(metric.find("éé É"), Ok(Some("é")));
}

#[test]
fn order_decides_where_texts_are_searched_for_labels() {
    let metric = metric(json!({
        "labels": ["negative", "positive", "neutral"], "match": "contains-in-order", "default": "neutral"
    }));
    assert_eq!(metric.find("Positive, not Negative"), Ok(Some("negative")));
    assert_eq!(metric.find("unpositively"), Ok(Some("positive")));
    // So does FinGPT, which looks for no other case.
    assert_eq!(metric.find("POSITIVE"), Ok(Some("neutral")));
}

#[test]
fn any_of_several_references_is_right() {
    let metric = metric(json!({}));
    let rows = [
        (json!({ "reference": ["a", "b"] }), "b"),
        (json!({ "reference": ["a", "b"] }), "c"),
    ];
    let given = scored(&metric, &rows).unwrap();
    assert_eq!((given[0].name.as_str(), given[0].value), ("accuracy", 0.5));
    let error = given[0].standard_error.unwrap();
    assert!((error - 0.125f64.sqrt()).abs() < 1e-15);
}

#[test]
fn the_label_is_the_reference_or_the_response_or_the_column_given() {
    let right = |settings: Value, row: Value| {
        let given = scored(&metric(settings), &[(row, "x")]).unwrap();
        given[0].value
    };
    assert_eq!(
        right(json!({}), json!({ "reference": "x", "response": "y" })),
        1.0
    );
    assert_eq!(right(json!({}), json!({ "response": "x" })), 1.0);
    let column = json!({ "column": "response" });
    assert_eq!(
        right(column, json!({ "reference": "x", "response": "y" })),
        0.0
    );
}

#[test]
fn chosen_scores_are_the_only_ones() {
    let metric = metric(json!({ "scores": ["f1_macro", "accuracy"] }));
    let given = scored(&metric, &[(json!({ "reference": "x" }), "x")]).unwrap();
    let names: Vec<&str> = given.iter().map(|score| score.name.as_str()).collect();
    assert_eq!(names, ["accuracy", "f1_macro"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |settings: Value, row: Value, words: &str| {
        let error = scored(&metric(settings), &[(row, "x")]).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    let row = || json!({ "reference": "x" });
    refused(
        json!({ "labels": ["a", "b"] }),
        row(),
        "label `x` is none of",
    );
    refused(
        json!({ "match": "first-word" }),
        row(),
        "`match` looks for `labels`",
    );
    refused(json!({ "default": "x" }), row(), "`default` is of use with");
    let settings = json!({ "labels": ["x", "y"], "match": "contains-in-order", "default": "z" });
    refused(settings, row(), "`default` is `z`, none of");
    refused(
        json!({}),
        json!({ "reference": [] }),
        "column `reference` is an empty list",
    );
    refused(
        json!({}),
        json!({ "text": "" }),
        "column `reference` is missing",
    );
}

#[test]
fn unknown_scores_are_refused_before_anything_is_asked() {
    let unknown = metric(json!({ "scores": ["f1"] }));
    let row = example(&json!({ "prompt": "p" }));
    let refused = unknown.ask(&row, &answers(vec![]), &questions());
    let error = refused.unwrap_err();
    assert!(error.contains("`scores`: `f1` is none of"), "{error}");
}

#[test]
fn it_asks_once() {
    let asked = questions();
    let metric = metric(json!({ "max_tokens": 4 }));
    let row = example(&json!({ "prompt": "p" }));
    metric.ask(&row, &answers(vec![]), &asked).unwrap();
    metric
        .ask(&row, &answers(vec![Reply::texts(&["x"])]), &asked)
        .unwrap();
    let asked = asked.asked.into_inner();
    assert_eq!(
        asked,
        [r#"generate p {"max-tokens":4,"temperature":0.0,"samples":1}"#]
    );
}

#[test]
fn errors_of_shares_are_the_closed_form() {
    let rows: Vec<(Value, &str)> = (0..300)
        .map(|i| {
            (
                json!({ "reference": if i % 3 == 0 { "x" } else { "y" } }),
                "y",
            )
        })
        .collect();
    let given = scored(&metric(json!({})), &rows).unwrap();
    let error = |name: &str| {
        let score = given.iter().find(|score| score.name == name).unwrap();
        (score.value, score.standard_error.unwrap())
    };
    let (value, closed) = error("accuracy");
    let (same, drawn) = error("f1_micro");
    assert!((value - same).abs() < 1e-12);
    assert!((drawn / closed - 1.0).abs() < 0.1, "{drawn} {closed}");
}

#[test]
fn the_labels_of_generated_texts_are_those_found_by_hand() {
    let golden = include_str!("../../../../tests/golden/metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let golden = &golden["classification"];
    let metric = metric(json!({ "labels": golden["labels"] }));
    for pair in golden["pairs"].as_array().unwrap() {
        let text = pair["generated"].as_str().unwrap();
        let found = metric.find(text).unwrap().unwrap_or_default();
        assert_eq!(found, pair["predicted"].as_str().unwrap(), "{text:?}");
    }
}
