//! chrF from its sufficient statistics, and these from texts.

use std::collections::HashMap;
use std::hash::Hash;

use folkmoot_sdk::text::python;

/// What is counted, and how counts become a score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) characters: usize,
    pub(crate) words: usize,
    pub(crate) beta: f64,
    pub(crate) whitespace: bool,
    pub(crate) smoothed: bool,
}

/// N-grams of one order: of the text, of the reference, in both.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) text: f64,
    pub(crate) reference: f64,
    pub(crate) both: f64,
}

/// What n-grams are cut from.
struct Parts<'t> {
    characters: Vec<char>,
    words: Vec<&'t str>,
}

impl Rule {
    /// The counts of each order against the reference that gives the highest score, the first of equals.
    pub(crate) fn orders(&self, text: &str, references: &[String]) -> Vec<Order> {
        let text = self.parts(text);
        let mut best = (-1.0, Vec::new());
        for reference in references {
            let reference = self.parts(reference);
            let characters = (1..=self.characters)
                .map(|n| Order::of(&text.characters, &reference.characters, n));
            let words = (1..=self.words).map(|n| Order::of(&text.words, &reference.words, n));
            let orders: Vec<Order> = characters.chain(words).collect();
            let score = self.score(&orders);
            if score > best.0 {
                best = (score, orders);
            }
        }
        best.1
    }

    fn parts<'t>(&self, text: &'t str) -> Parts<'t> {
        let counts = |c: &char| self.whitespace || !python::is_space(*c);
        let mut words = Vec::new();
        if self.words > 0 {
            python::split(text).for_each(|word| words.extend(without_punctuation(word)));
        }
        Parts {
            characters: text.chars().filter(counts).collect(),
            words,
        }
    }

    /// chrF, 0 to 100: F_β of the mean precision and the mean recall over the orders that both sides
    /// have; smoothed, the mean of the orders' F_β, a share of nothing being 1e-16.
    pub(crate) fn score(&self, orders: &[Order]) -> f64 {
        const EPSILON: f64 = 1e-16;
        let factor = self.beta.powi(2);
        let (mut smoothed, mut precision, mut recall, mut effective) = (0.0, 0.0, 0.0, 0.0);
        for order in orders {
            let share = |of: f64| if of > 0.0 { order.both / of } else { EPSILON };
            let (p, r) = (share(order.text), share(order.reference));
            let below = factor * p + r;
            smoothed += match below > 0.0 {
                true => (1.0 + factor) * p * r / below,
                false => EPSILON,
            };
            if order.text > 0.0 && order.reference > 0.0 {
                precision += p;
                recall += r;
                effective += 1.0;
            }
        }
        if self.smoothed {
            return 100.0 * smoothed / (self.characters + self.words) as f64;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (p, r) = (precision / effective, recall / effective);
        100.0 * ((1.0 + factor) * p * r / (factor * p + r))
    }
}

impl Order {
    fn of<T: Eq + Hash>(text: &[T], reference: &[T], n: usize) -> Self {
        let [text, reference] = [text, reference].map(|items| {
            let mut counts: HashMap<&[T], u32> = HashMap::new();
            for ngram in items.windows(n) {
                *counts.entry(ngram).or_default() += 1;
            }
            counts
        });
        let sum = |counts: &HashMap<_, u32>| counts.values().map(|&n| f64::from(n)).sum::<f64>();
        let both = text.iter().map(|(ngram, &count)| {
            let there = reference.get(ngram).copied().unwrap_or_default();
            f64::from(count.min(there))
        });
        Self {
            // n-grams of an order that the reference lacks are not held against the text.
            text: if reference.is_empty() {
                0.0
            } else {
                sum(&text)
            },
            reference: sum(&reference),
            both: both.sum(),
        }
    }

    pub(crate) fn add(&mut self, other: &Self, times: f64) {
        self.text += times * other.text;
        self.reference += times * other.reference;
        self.both += times * other.both;
    }
}

/// A mark of ASCII apart that ends the word, or else one that starts it.
fn without_punctuation(word: &str) -> impl Iterator<Item = &str> {
    let mark = |c: Option<char>| c.is_some_and(|c| c.is_ascii_punctuation());
    let at = if word.chars().nth(1).is_none() {
        0
    } else if mark(word.chars().next_back()) {
        word.len() - 1
    } else {
        usize::from(mark(word.chars().next()))
    };
    let (start, end) = word.split_at(at);
    [start, end].into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_mark_off_a_word() {
        let parts = |word| without_punctuation(word).collect::<Vec<_>>();
        assert_eq!(parts("(hi)"), ["(hi", ")"]);
        assert_eq!(parts("(hi"), ["(", "hi"]);
        assert_eq!(parts("hi…"), ["hi…"]);
        assert_eq!(parts("."), ["."]);
        assert_eq!(parts(".."), [".", "."]);
        assert_eq!(parts("é"), ["é"]);
    }
}
