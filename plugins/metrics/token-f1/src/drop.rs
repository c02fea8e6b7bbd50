//! DROP's rules (Dua et al. 2019, official script `drop_eval`, which lm-evaluation-harness has too).

use std::collections::{BTreeSet, HashSet};

use crate::assignment::best_pairs;
use crate::python::{float, is_space, show, single_spaces, split, without_articles};

/// An answer: its spans normalised, and the words of each as a set.
struct Answer {
    spans: Vec<String>,
    bags: Vec<BTreeSet<String>>,
}

impl Answer {
    fn new(spans: &[impl AsRef<str>]) -> Self {
        let spans: Vec<String> = spans.iter().map(|span| normalize(span.as_ref())).collect();
        let bag = |span: &String| split(span).map(str::to_owned).collect();
        let bags = spans.iter().map(bag).collect();
        Self { spans, bags }
    }
}

/// Exact match and F1, each the best over the right answers whose first span is not blank.
pub(crate) fn score(said: &[String], right: &[Vec<&str>]) -> (f64, f64) {
    let said = Answer::new(said);
    let (mut exact, mut f1) = (0.0f64, 0.0f64);
    for answer in right {
        if answer
            .first()
            .is_none_or(|first| first.chars().all(is_space))
        {
            continue;
        }
        let answer = Answer::new(answer);
        exact = exact.max(f64::from(u8::from(same(&said, &answer))));
        f1 = f1.max(overlap(&said, &answer));
    }
    (exact, f1)
}

/// As many spans, and the same ones.
fn same(said: &Answer, right: &Answer) -> bool {
    let set = |answer: &Answer| answer.spans.iter().cloned().collect::<HashSet<_>>();
    said.spans.len() == right.spans.len() && set(said) == set(right)
}

/// Lower case; each word between spaces and hyphens without punctuation unless it is a number, which is
/// written as a float; no articles, single spaces.
fn normalize(span: &str) -> String {
    let words = span.split([' ', '-']).map(|word| {
        let word = word.to_lowercase();
        let bare = match float(&word) {
            Some(_) => word,
            None => word.chars().filter(|c| !c.is_ascii_punctuation()).collect(),
        };
        let number = float(&bare).map(show);
        single_spaces(&without_articles(&number.unwrap_or(bare)))
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Mean F1 over the spans of the longer answer, aligned one to one so that it is greatest; two decimals.
fn overlap(said: &Answer, right: &Answer) -> f64 {
    let f1 = |right: &BTreeSet<String>, said: &BTreeSet<String>| match numbers_meet(right, said) {
        true => f1(said, right),
        false => 0.0,
    };
    let rows = right.bags.iter();
    let scores: Vec<Vec<f64>> = rows
        .map(|row| said.bags.iter().map(|bag| f1(row, bag)).collect())
        .collect();
    let mut best = vec![0.0f64; right.bags.len().max(said.bags.len())];
    for (row, column) in best_pairs(&scores) {
        best[row] = best[row].max(scores[row][column]);
    }
    let mean = pairwise_sum(&best) / best.len() as f64;
    // As numpy rounds: half to even of the hundredfold.
    (mean * 100.0).round_ties_even() / 100.0
}

/// F1 of the words as sets; nothing said has precision 1, nothing right recall 1.
fn f1(said: &BTreeSet<String>, right: &BTreeSet<String>) -> f64 {
    let same = said.intersection(right).count() as f64;
    let share = |of: &BTreeSet<String>| match of.is_empty() {
        true => 1.0,
        false => same / of.len() as f64,
    };
    let (precision, recall) = (share(said), share(right));
    match precision == 0.0 && recall == 0.0 {
        true => 0.0,
        false => 2.0 * precision * recall / (precision + recall),
    }
}

/// Whether one of the numbers in the right answer, if it has any, was said.
fn numbers_meet(right: &BTreeSet<String>, said: &BTreeSet<String>) -> bool {
    let mut numbers = right.iter().filter(|word| float(word).is_some()).peekable();
    numbers.peek().is_none() || numbers.any(|number| said.contains(number))
}

/// The sum in the order in which numpy takes it, so that what is rounded above is the same.
fn pairwise_sum(values: &[f64]) -> f64 {
    match values.len() {
        0..8 => values.iter().sum(),
        8..=128 => {
            let eights = values.chunks_exact(8);
            let rest = eights.remainder();
            let mut sums = [0.0; 8];
            for eight in eights {
                for (sum, value) in sums.iter_mut().zip(eight) {
                    *sum += value;
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
            rest.iter().fold(sum, |sum, value| sum + value)
        }
        n => {
            let (left, right) = values.split_at(n / 2 - n / 2 % 8);
            pairwise_sum(left) + pairwise_sum(right)
        }
    }
}
