//! Against the functions of lm-eval's task files, on `tests/golden/answer_metrics.json`.

use folkmoot_sdk::native::evaluation::{Reply, answers, observations, scores};
use serde_json::{Value, json};

use super::*;
use shared::golden;

#[path = "../../../../tests/golden/shared.rs"]
mod shared;

fn cases(name: &str) -> Vec<Value> {
    let golden = golden("answer_metrics.json");
    let cases = golden[name].as_array().unwrap().clone();
    assert!(cases.len() >= 1000);
    cases
}

fn observe(answer: &str, said: &str, right: &str) -> Vec<f64> {
    let metric: MathEquivalence = serde_json::from_value(json!({"answer": answer})).unwrap();
    let (observed, scores) = (observations(), scores());
    let example = json!({"prompt": "", "reference": right}).to_string();
    let example = Example::from_json(&example).unwrap();
    let said = answers(vec![Reply::texts(&[said])]);
    metric.observe(&example, &said, &observed).unwrap();
    metric.summarize(&observed, &scores).unwrap();
    let added = scores.added.take();
    added.into_iter().map(|score| score.value).collect()
}

#[test]
fn answers_are_normalised_as_hendrycks_does() {
    for case in cases("strip_string") {
        let seen = hendrycks::strip_string(case[0].as_str().unwrap());
        assert_eq!(seen.as_deref(), case[1].as_str(), "{case}");
    }
    for case in cases("is_equiv") {
        let [left, right] = [&case[0], &case[1]].map(|text| text.as_str().unwrap());
        assert_eq!(hendrycks::is_equiv(left, right), case[2] == 1, "{case}");
    }
}

#[test]
fn answers_are_normalised_as_minerva_does() {
    for case in cases("normalize") {
        let seen = minerva::normalize(case[0].as_str().unwrap()).unwrap();
        assert_eq!(seen, case[1].as_str().unwrap(), "{case}");
    }
}

#[test]
fn answers_are_found_in_boxes_and_sentences() {
    for case in cases("boxed") {
        let text = case[0].as_str().unwrap();
        let found = hendrycks::last_boxed_only_string(text);
        assert_eq!(found, case[1].as_str(), "{case}");
        let content = found.and_then(hendrycks::remove_boxed);
        assert_eq!(content, case[2].as_str(), "{case}");
        assert_eq!(
            minerva::final_answer(text).unwrap(),
            case[3].as_str().unwrap(),
            "{case}"
        );
    }
}

#[test]
fn scores_are_those_of_both_tasks() {
    for case in cases("math") {
        let [said, right] = [&case[0], &case[1]].map(|text| text.as_str().unwrap());
        let right = format!("So $\\boxed{{{right}}}$.");
        let seen = observe("as-published", said, &right);
        let expected = [&case[2], &case[3]].map(|hit| hit.as_f64().unwrap());
        assert_eq!(seen[..2], expected, "{case}");
        assert!(seen[2] >= seen[1]);
    }
}

#[test]
fn values_are_sympys() {
    for case in cases("values") {
        let seen = value::value(case[0].as_str().unwrap());
        let (seen, expected) = (seen.unwrap_or(f64::NAN), case[1].as_f64().unwrap());
        assert!(
            (seen - expected).abs() <= 1e-9 * expected.abs().max(1e-9),
            "{case} {seen}"
        );
    }
}

#[test]
fn expressions_of_one_value_are_equal() {
    for (left, right) in [
        ("\\frac{1}{2}", "0.5"),
        ("\\frac12", "1/2"),
        ("2\\sqrt{2}", "\\sqrt{8}"),
        ("1,000", "1000.0"),
        ("50\\%", "50"),
        ("-\\frac{3}{4}", "\\frac{-3}{4}"),
        ("2^{10}", "1024"),
        ("\\frac{\\pi}{2}", "0.5\\pi"),
        ("\\sqrt[3]{8}", "2"),
        ("(2)(3)", "6"),
        ("2\\left(1+1\\right)", "4"),
    ] {
        assert!(value::equal(left, right), "{left} {right}");
    }
    for (left, right) in [
        ("x", "x"),
        ("1/0", "1/0"),
        ("\\sqrt{-1}", "\\sqrt{-1}"),
        ("0,1", "1"),
        ("2 3", "23"),
        ("", ""),
        ("1.0000001", "1"),
        ("1+", "1"),
        ("\\pix", "\\pi"),
        ("12e3", "12000"),
    ] {
        assert!(!value::equal(left, right), "{left} {right}");
    }
    assert_eq!(value::value(&"(".repeat(100_000)), None);
    assert_eq!(value::value(&"-".repeat(100_001)), None);
}

#[test]
fn the_setting_says_where_the_answer_is() {
    let said = "So \\boxed{\\frac12} and $3$ or $4$";
    assert_eq!(observe("boxed", said, "0.5"), [1.0, 0.0, 1.0]);
    assert_eq!(observe("boxed", "no box", "no box"), [0.0; 3]);
    assert_eq!(observe("whole", "0.5", "\\boxed{0.50}"), [0.0, 0.0, 1.0]);
}
