//! The whole metric against sacrebleu: tests/golden/text_metrics.py makes what is read here.

use folkmoot_sdk::native::{Reply, answers, observations, questions, scores};
use folkmoot_sdk::{Example, Metric};
use serde_json::{Value, json};

use super::Chrf;
use shared::{golden, near};

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[test]
fn scores_as_sacrebleu() {
    let golden = golden("text_metrics.json");
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for case in golden["chrf"].as_array().unwrap() {
        let metric: Chrf = serde_json::from_value(case["settings"].clone()).unwrap();
        let observe = |rows: &[Value]| {
            let observed = observations();
            for row in rows {
                let example = json!({ "prompt": "", "reference": row[1] }).to_string();
                let example = Example::from_json(&example).unwrap();
                let answers = answers(vec![Reply::texts(&[row[0].as_str().unwrap()])]);
                metric.observe(&example, &answers, &observed).unwrap();
            }
            observed
        };
        let score = |rows: &[Value]| {
            let summary = scores();
            metric.summarize(&observe(rows), &summary).unwrap();
            let added = summary.added.borrow();
            assert_eq!((added.len(), added[0].name.as_str()), (1, "chrf"));
            assert_eq!(added[0].standard_error.is_some(), rows.len() > 1);
            added[0].value
        };
        for (row, theirs) in case["sentences"].as_array().unwrap().iter().enumerate() {
            let what = format!("{} row {row}", case["settings"]);
            near(score(&rows[row..=row]), theirs, &what);
        }
        for corpus in case["corpora"].as_array().unwrap() {
            let [from, to] = [0, 1].map(|end| corpus[end].as_u64().unwrap() as usize);
            let what = format!("{} rows {from} to {to}", case["settings"]);
            near(score(&rows[from..to]), &corpus[2], &what);
        }
    }
}

#[test]
fn asks_once_and_refuses_what_does_not_fit() {
    let metric: Chrf = serde_json::from_value(json!({ "stop": ["\n"], "max_tokens": 9 })).unwrap();
    let example = Example::from_json(r#"{ "prompt": "p", "reference": "r" }"#).unwrap();
    let asked = questions();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    metric
        .ask(&example, &answers(vec![Reply::texts(&["r"])]), &asked)
        .unwrap();
    let asked = asked.asked.borrow();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains(r#""max-tokens":9"#), "{}", asked[0]);
    let metric: Chrf = serde_json::from_value(json!({ "char_order": 0 })).unwrap();
    assert!(
        metric
            .ask(&example, &answers(vec![]), &questions())
            .is_err()
    );
}
