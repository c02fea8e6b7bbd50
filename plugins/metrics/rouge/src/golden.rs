//! The whole metric against rouge-score: tests/golden/text_metrics.py makes what is read here.

use folkmoot_sdk::native::{Reply, answers, observations, questions, scores};
use folkmoot_sdk::{Example, Metric};
use serde_json::json;

use super::Rouge;
use shared::{golden, near};

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[test]
fn scores_as_rouge_score() {
    let golden = golden("text_metrics.json");
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for case in golden["rouge"].as_array().unwrap() {
        let metric: Rouge = serde_json::from_value(case["settings"].clone()).unwrap();
        let observed = observations();
        for row in rows {
            let example = json!({ "prompt": "", "reference": row[1] }).to_string();
            let example = Example::from_json(&example).unwrap();
            let answers = answers(vec![Reply::texts(&[row[0].as_str().unwrap()])]);
            metric.observe(&example, &answers, &observed).unwrap();
        }
        let summary = scores();
        metric.summarize(&observed, &summary).unwrap();
        let added = summary.added.borrow();
        assert_eq!(added.len(), 12);
        for (kind, column) in case["columns"].as_object().unwrap() {
            let column = column.as_array().unwrap();
            assert_eq!(column.len(), rows.len());
            let mut sum = 0.0;
            for (row, (ours, _)) in observed.values(kind).iter().enumerate() {
                near(
                    *ours,
                    &column[row],
                    &format!("{} {kind} row {row}", case["settings"]),
                );
                sum += ours;
            }
            let score = added.iter().find(|score| score.name == *kind).unwrap();
            near(score.value, &json!(sum / rows.len() as f64), kind);
            assert!(score.standard_error.unwrap() > 0.0, "{kind}");
        }
    }
}

#[test]
fn asks_once() {
    let metric: Rouge = serde_json::from_value(json!({})).unwrap();
    let example = Example::from_json(r#"{ "prompt": "p", "reference": "r" }"#).unwrap();
    let asked = questions();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    metric
        .ask(&example, &answers(vec![Reply::texts(&["r"])]), &asked)
        .unwrap();
    assert_eq!(asked.asked.borrow().len(), 1);
}
