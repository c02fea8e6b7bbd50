use folkmoot_sdk::native::evaluation::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

fn scored(metric: &Preference, rows: &[(Value, [f64; 2])]) -> Vec<Score> {
    let observed = observations();
    for (row, likelihoods) in rows {
        let replies = likelihoods.map(|own| Reply::likelihood(own, 1)).to_vec();
        let example = Example::from_json(&row.to_string()).unwrap();
        metric
            .observe(&example, &answers(replies), &observed)
            .unwrap();
    }
    let given = scores();
    metric.summarize(&observed, &given).unwrap();
    given.added.into_inner()
}

#[test]
fn scores_are_those_of_trl() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let mut pairs = 0;
    for case in golden["preference"].as_array().unwrap() {
        let row = |row: &Value| {
            let number = |index: usize| row[index].as_f64().unwrap();
            let own = json!({ "chosen_reference": number(2), "rejected_reference": number(3) });
            (own, [number(0), number(1)])
        };
        let rows: Vec<(Value, [f64; 2])> =
            case["rows"].as_array().unwrap().iter().map(row).collect();
        pairs += rows.len();
        let settings = json!({ "beta": case["beta"], "ties": "wrong" });
        let given = scored(&serde_json::from_value(settings).unwrap(), &rows);
        let values: Vec<f64> = given.iter().map(|score| score.value).collect();
        for (value, name) in values.iter().zip(["accuracies", "margins", "likelier"]) {
            assert!(
                (value - case[name].as_f64().unwrap()).abs() < 1e-12,
                "{name} {value} {case}"
            );
        }
    }
    assert!(pairs > 1000);
}

#[test]
fn ties_are_half_hits() {
    let metric: Preference = serde_json::from_value(json!({})).unwrap();
    assert_eq!([0.1, -0.1, 0.0].map(|d| metric.hit(d)), [1.0, 0.0, 0.5]);
}

#[test]
fn pairs_of_texts_alone_have_no_rewards() {
    let metric: Preference = serde_json::from_value(json!({})).unwrap();
    let asked = questions();
    let row = json!({ "prompt": "p", "chosen": "c", "rejected": "r" });
    let example = Example::from_json(&row.to_string()).unwrap();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    assert_eq!(
        asked.asked.into_inner(),
        ["likelihood p|c", "likelihood p|r"]
    );
    let given = scored(&metric, &[(row.clone(), [-1.0, -2.0]), (row, [-3.0, -2.0])]);
    assert_eq!(given.len(), 1);
    assert_eq!((given[0].name.as_str(), given[0].value), ("likelier", 0.5));
    assert_eq!(given[0].standard_error, Some(0.125f64.sqrt()));
}
