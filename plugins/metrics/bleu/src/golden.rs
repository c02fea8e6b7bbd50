//! The whole metric against sacrebleu: tests/golden/text_metrics.py makes what is read here.

use folkmoot_sdk::native::{Reply, answers, observations, questions, scores};
use folkmoot_sdk::{Example, Metric};
use serde_json::{Value, json};

use super::Bleu;
use shared::{golden, near};

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[test]
fn scores_as_sacrebleu() {
    let golden = golden("text_metrics.json");
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for case in golden["bleu"].as_array().unwrap() {
        let metric: Bleu = serde_json::from_value(case["settings"].clone()).unwrap();
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
        let observed = observe(rows);
        let sentences = observed.values("sentence");
        for (row, (ours, _)) in sentences.iter().enumerate() {
            let what = format!("{} row {row}", case["settings"]);
            near(*ours, &case["sentences"][row], &what);
        }
        for corpus in case["corpora"].as_array().unwrap() {
            let [from, to] = [0, 1].map(|end| corpus[end].as_u64().unwrap() as usize);
            let summary = scores();
            metric
                .summarize(&observe(&rows[from..to]), &summary)
                .unwrap();
            let added = summary.added.borrow();
            let what = format!("{} rows {from} to {to}", case["settings"]);
            assert_eq!(added[0].name, "bleu");
            near(added[0].value, &corpus[2], &what);
            assert!(added[0].standard_error.unwrap() >= 0.0, "{what}");
            assert_eq!(added[1].name, "sentence_bleu");
            let sum: f64 = sentences[from..to].iter().map(|(score, _)| score).sum();
            near(added[1].value, &json!(sum / (to - from) as f64), &what);
        }
    }
}

#[test]
fn asks_once_and_refuses_what_does_not_fit() {
    let metric: Bleu = serde_json::from_value(json!({ "stop": ["\n"], "max_tokens": 9 })).unwrap();
    let example = Example::from_json(r#"{ "prompt": "p", "reference": "r" }"#).unwrap();
    let asked = questions();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    metric
        .ask(&example, &answers(vec![Reply::texts(&["r"])]), &asked)
        .unwrap();
    let asked = asked.asked.borrow();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains(r#""max-tokens":9"#), "{}", asked[0]);
    for settings in [
        json!({ "smooth_value": 1.0 }),
        json!({ "variant": "nmt", "smooth_method": "exp" }),
        json!({ "variant": "nmt", "effective_order": true }),
    ] {
        let metric: Bleu = serde_json::from_value(settings.clone()).unwrap();
        let refused = metric.ask(&example, &answers(vec![]), &questions());
        assert!(refused.is_err(), "{settings}");
    }
}
