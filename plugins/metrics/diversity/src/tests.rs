use folkmoot_sdk::native::evaluation::{Reply, Score, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

/// Scores of texts, `each` of an example at a time.
fn scored(settings: Value, texts: &[&str], each: usize) -> Result<Vec<Score>> {
    let metric: Diversity = serde_json::from_value(settings).unwrap();
    let (observed, given) = (observations(), scores());
    let example = Example::from_json("{}").unwrap();
    for texts in texts.chunks(each) {
        metric.observe(&example, &answers(vec![Reply::texts(texts)]), &observed)?;
    }
    metric.summarize(&observed, &given)?;
    Ok(given.added.into_inner())
}

#[test]
fn scores_are_those_of_the_libraries() {
    let golden = include_str!("../../../../tests/golden/class_metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let text = |index: &Value| {
        golden["texts"][index.as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
    };
    let (mut count, mut worst) = (0, 0.0f64);
    for (index, case) in golden["diversity"].as_array().unwrap().iter().enumerate() {
        let texts: Vec<&str> = case["texts"].as_array().unwrap().iter().map(text).collect();
        count += texts.len();
        for score in scored(json!({}), &texts, 1 + index % 3).unwrap() {
            let expected = case["scores"][&score.name].as_f64().unwrap();
            worst = worst.max((score.value - expected).abs());
            assert!(
                (score.value - expected).abs() < 1e-11,
                "{score:?} {expected}"
            );
        }
    }
    println!("{count} texts, worst difference {worst:e}");
    assert!(count > 1000);
}

#[test]
fn a_share_estimates() {
    let words = |from: u32| {
        (from..from + 3000)
            .map(|i| format!("w{i} "))
            .collect::<String>()
    };
    let texts: Vec<String> = (0..20).map(|i| words(i * 1500)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let exact = scored(json!({}), &texts, 1).unwrap();
    let estimate = scored(json!({ "share": 0.25 }), &texts, 1).unwrap();
    assert!((exact[0].value - 31_500.0 / 60_000.0).abs() < 1e-12);
    for (a, b) in exact.iter().zip(&estimate) {
        assert!((a.value / b.value - 1.0).abs() < 0.03, "{a:?} {b:?}");
    }
}

#[test]
fn too_long_a_text_is_refused() {
    let text = "x ".repeat(1_500_000);
    let error = scored(json!({}), &[&text], 1).unwrap_err();
    let expected = "a text: there are 1500000 1-grams, more than 1000000 to compare; set `share` to 0.666 or less";
    assert_eq!(error, expected);
    assert!(scored(json!({ "share": 0.6 }), &[&text], 1).is_ok());
}

#[test]
fn no_text_is_refused_and_a_short_one_has_no_pairs() {
    assert_eq!(scored(json!({}), &[], 1).unwrap_err(), "there is no text");
    let given = scored(json!({}), &["x"], 1).unwrap();
    let values: Vec<f64> = given.iter().map(|score| score.value).collect();
    assert_eq!(values, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn sampling_is_asked_for() {
    let asked = questions();
    let metric: Diversity =
        serde_json::from_value(json!({ "samples": 3, "temperature": 0.7, "top_p": 0.9 })).unwrap();
    let example = Example::from_json(r#"{"prompt": "p"}"#).unwrap();
    metric.ask(&example, &answers(vec![]), &asked).unwrap();
    let options = r#"generate p {"max-tokens":256,"temperature":0.7,"top-p":0.9,"samples":3}"#;
    assert_eq!(asked.asked.into_inner(), [options]);
}
