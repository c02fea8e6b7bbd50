use folkmoot_sdk::native::evaluation::{Score, answers, observations, scores};
use serde_json::json;

use super::*;

fn scored(settings: Value, rows: &[Value]) -> Result<Vec<Score>> {
    let metric: AcrossClients = serde_json::from_value(settings).unwrap();
    let observed = observations();
    for row in rows {
        let example = Example::from_json(&row.to_string()).unwrap();
        metric.observe(&example, &answers(vec![]), &observed)?;
    }
    let given = scores();
    metric.summarize(&observed, &given)?;
    Ok(given.added.into_inner())
}

#[test]
fn scores_are_those_of_numpy() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (mut clients, mut worst) = (0, 0.0f64);
    for case in golden["clients"].as_array().unwrap() {
        let values = case["values"].as_array().unwrap();
        let row = |index: usize| {
            json!({
                "client": index, "value": values[index], "weight": case["weights"][index],
                "local": case["local"][index],
            })
        };
        let rows: Vec<Value> = (0..values.len()).map(row).collect();
        clients += rows.len();
        let settings = json!({ "higher_is_better": case["higher_is_better"] });
        let given = scored(settings, &rows).unwrap();
        for info in AcrossClients::SCORES {
            let score = given.iter().find(|score| score.name == info.name);
            match case["scores"][info.name].as_f64() {
                Some(expected) => {
                    let off = (score.unwrap().value - expected).abs();
                    worst = worst.max(off);
                    assert!(off < 1e-12, "{score:?} {expected}");
                }
                None => assert_eq!(score, None),
            }
        }
    }
    println!("{clients} clients, worst difference {worst:e}");
    assert!(clients > 1000);
}

#[test]
fn weights_and_local_models_may_be_missing() {
    let rows = [
        json!({ "value": 1 }),
        json!({ "value": 0, "local": null, "weight": null }),
    ];
    let given = scored(json!({}), &rows).unwrap();
    let named = |name: &str| given.iter().find(|score| score.name == name);
    assert_eq!(named("weighted_mean").unwrap().value, 0.5);
    assert_eq!(named("gain_over_local"), None);
    let rows = [json!({ "value": 1, "local": 0.5 }), json!({ "value": 0 })];
    let given = scored(json!({ "higher_is_better": false }), &rows).unwrap();
    let named = |name: &str| given.iter().find(|score| score.name == name).unwrap().value;
    assert_eq!(
        (named("gain_over_local"), named("share_better_than_local")),
        (-0.5, 0.0)
    );
    assert_eq!((named("worst"), named("best")), (1.0, 0.0));
}

#[test]
fn weights_that_are_none_are_refused() {
    let error = scored(json!({}), &[json!({ "value": 1, "weight": -1 })]).unwrap_err();
    assert_eq!(error, "column `weight` holds -1, not 0 or more");
    let error = scored(json!({}), &[json!({ "value": 1, "weight": 0 })]).unwrap_err();
    assert_eq!(error, "column `weight` is 0 for every client");
    let error = scored(json!({}), &[json!({ "client": 1 })]).unwrap_err();
    assert!(error.contains("column `value` is missing"), "{error}");
}
