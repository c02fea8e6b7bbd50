//! SQuAD's rules, v2 (Rajpurkar et al. 2018, official script).

use std::collections::HashMap;

use crate::python::{single_spaces, split, without_articles};

/// Lower case, no ASCII punctuation, no articles, single spaces.
pub(crate) fn normalize(text: &str) -> String {
    let lower = text.to_lowercase();
    let bare: String = lower
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    single_spaces(&without_articles(&bare))
}

/// Exact match and F1, each the best over the right answers. Right answers of which nothing is left are none;
/// where there are none, the empty answer is right.
pub(crate) fn score(said: &str, right: &[&str]) -> (f64, f64) {
    let said = normalize(said);
    let right = right.iter().map(|answer| normalize(answer));
    let mut right: Vec<String> = right.filter(|answer| !answer.is_empty()).collect();
    if right.is_empty() {
        right.push(String::new());
    }
    let exact = right.contains(&said);
    let f1 = right.iter().map(|answer| f1(&said, answer));
    (f64::from(u8::from(exact)), f1.fold(0.0, f64::max))
}

/// F1 of the words as bags; of an empty answer 1 if both are empty.
fn f1(said: &str, right: &str) -> f64 {
    let (said, right): (Vec<&str>, Vec<&str>) = (split(said).collect(), split(right).collect());
    if said.is_empty() || right.is_empty() {
        return f64::from(u8::from(said == right));
    }
    let mut left: HashMap<&str, u32> = HashMap::new();
    for word in &right {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0u32;
    for word in &said {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let precision = f64::from(same) / said.len() as f64;
    let recall = f64::from(same) / right.len() as f64;
    2.0 * precision * recall / (precision + recall)
}
