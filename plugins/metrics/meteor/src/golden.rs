//! The whole metric against NLTK: tests/golden/text_metrics.py makes what is read here.

use folkmoot_sdk::native::{Reply, answers, observations, questions, scores};
use folkmoot_sdk::{Example, Metric};
use serde_json::json;

use super::{Meteor, punkt, treebank};
use shared::{golden, near};

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[test]
fn scores_as_nltk() {
    let golden = golden("text_metrics.json");
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() > 1000);
    for case in golden["meteor"].as_array().unwrap() {
        let metric: Meteor = serde_json::from_value(case["settings"].clone()).unwrap();
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
        assert_eq!((added.len(), added[0].name.as_str()), (1, "meteor"));
        let mut sum = 0.0;
        for (row, (ours, _)) in observed.values("meteor").iter().enumerate() {
            near(
                *ours,
                &case["scores"][row],
                &format!("{} row {row}", case["settings"]),
            );
            sum += ours;
        }
        near(added[0].value, &json!(sum / rows.len() as f64), "mean");
        assert!(added[0].standard_error.unwrap() > 0.0);
    }
}

#[test]
fn asks_once() {
    let metric: Meteor = serde_json::from_value(json!({})).unwrap();
    let example = Example::from_json(r#"{ "prompt": "p", "reference": "r" }"#).unwrap();
    let asked = questions();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    metric
        .ask(&example, &answers(vec![Reply::texts(&["r"])]), &asked)
        .unwrap();
    assert_eq!(asked.asked.borrow().len(), 1);
}

#[test]
fn cuts_as_nltk() {
    let golden = golden("text_tokens.json");
    let rows = golden["tokens"].as_array().unwrap();
    assert!(rows.len() >= 1000);
    for row in rows {
        let [text, nltk, treebank] = [0, 1, 2].map(|column| row[column].as_str().unwrap());
        assert_eq!(treebank::tokens(text).join("\n"), treebank, "{text:?}");
        let sentences = punkt::sentences(text);
        let tokens: Vec<String> = sentences
            .iter()
            .flat_map(|text| treebank::tokens(text))
            .collect();
        assert_eq!(tokens.join("\n"), nltk, "{text:?} {sentences:?}");
    }
}

#[test]
fn stems_as_nltk() {
    let golden = golden("text_tokens.json");
    let words = golden["stems"].as_array().unwrap();
    assert!(words.len() >= 1000);
    for row in words {
        let [word, stem] = [0, 1].map(|column| row[column].as_str().unwrap());
        assert_eq!(folkmoot_sdk::text::porter::stem(word), stem, "{word}");
    }
}
