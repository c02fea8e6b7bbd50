use folkmoot_sdk::native::evaluation::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

fn scored(bins: u64, rows: &[(Value, Vec<Reply>)]) -> Result<Vec<Score>> {
    let metric: Calibration = serde_json::from_value(json!({ "bins": bins })).unwrap();
    let observed = observations();
    for (row, replies) in rows {
        let example = Example::from_json(&row.to_string()).unwrap();
        metric.observe(&example, &answers(replies.clone()), &observed)?;
    }
    let given = scores();
    metric.summarize(&observed, &given)?;
    Ok(given.added.into_inner())
}

#[test]
fn scores_are_those_of_the_libraries() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (mut examples, mut worst) = (0, 0.0f64);
    for case in golden["calibration"].as_array().unwrap() {
        let row = |row: &Value| match case["kind"].as_str().unwrap() {
            "probabilities" => (json!({ "probabilities": row[0], "answer": row[1] }), vec![]),
            "choices" => {
                let likelihoods = row[0].as_array().unwrap().iter();
                let replies: Vec<Reply> = likelihoods
                    .map(|own| Reply::likelihood(own.as_f64().unwrap(), 1))
                    .collect();
                (
                    json!({ "choices": vec!["x"; replies.len()], "answer": row[1] }),
                    replies,
                )
            }
            _ => {
                let reference = if row[1] == 1 { "x" } else { "y" };
                let own =
                    json!({ "confidence": row[0], "prediction": "x", "reference": reference });
                (own, vec![])
            }
        };
        let rows: Vec<(Value, Vec<Reply>)> =
            case["rows"].as_array().unwrap().iter().map(row).collect();
        examples += rows.len();
        let given = scored(case["bins"].as_u64().unwrap(), &rows).unwrap();
        assert_eq!(given.len(), 4);
        for score in given {
            let expected = case["scores"][&score.name].as_f64().unwrap();
            worst = worst.max((score.value - expected).abs());
            assert!(
                (score.value - expected).abs() < 1e-11,
                "{score:?} {expected}"
            );
            assert_eq!(score.standard_error.is_some(), rows.len() > 1);
        }
    }
    println!("{examples} examples, worst difference {worst:e}");
    assert!(examples > 1000);
}

#[test]
fn choices_are_asked_for_only_where_there_are_no_probabilities() {
    let metric: Calibration = serde_json::from_value(json!({})).unwrap();
    let asked = |row: Value| {
        let asked = questions();
        let example = Example::from_json(&row.to_string()).unwrap();
        metric
            .ask(&example, &answers(vec![]), &asked)
            .map(|()| asked.asked.into_inner())
    };
    let row = json!({ "prompt": "p", "choices": [" a", " b"], "answer": 0 });
    assert_eq!(asked(row).unwrap(), ["likelihood p| a", "likelihood p| b"]);
    assert!(
        asked(json!({ "probabilities": [1.0], "answer": 0 }))
            .unwrap()
            .is_empty()
    );
    assert!(asked(json!({ "confidence": 1 })).unwrap().is_empty());
    assert!(
        asked(json!({ "x": 1 }))
            .unwrap_err()
            .contains("column `choices` is missing")
    );
}

#[test]
fn what_is_no_probability_is_refused() {
    let refused = |row: Value, words: &str| {
        let error = scored(15, &[(row, vec![])]).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused(
        json!({ "probabilities": [0.5, 0.6], "answer": 0 }),
        "with sum 1",
    );
    refused(
        json!({ "probabilities": [1.5, -0.5], "answer": 0 }),
        "0 to 1",
    );
    refused(json!({ "probabilities": [], "answer": 0 }), "with sum 1");
    refused(
        json!({ "probabilities": [0.5, 0.5], "answer": 2 }),
        "no place among 2 choices",
    );
    refused(
        json!({ "probabilities": [0.5, 0.5], "answer": 0.5 }),
        "no place among 2 choices",
    );
    refused(
        json!({ "confidence": 1.01, "prediction": "", "reference": "" }),
        "not 0 to 1",
    );
}
