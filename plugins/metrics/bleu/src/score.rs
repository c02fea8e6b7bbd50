//! BLEU from its sufficient statistics, and these from tokens.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What is done about orders without a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum Smoothing {
    /// The k-th order without a match counts 1/2^k matches (NIST; method 3 of Chen and Cherry 2014).
    Exp,
    /// `smooth_value` matches instead of none.
    Floor,
    /// `smooth_value` more matches and n-grams of every order above 1 (Lin and Och 2004); in variant
    /// `nmt` of every order.
    AddK,
    /// Nothing: the score is 0.
    None,
}

/// How statistics become a score.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Sacrebleu {
        smoothing: Smoothing,
        value: f64,
        effective_order: bool,
    },
    /// With so much added to matches and n-grams.
    Nmt(f64),
}

/// Counts of one text or, summed, of many: length and matching and all n-grams of each order.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct Counts {
    pub(crate) length: f64,
    /// Of the reference closest in length; of the shortest in variant `nmt`.
    pub(crate) reference: f64,
    pub(crate) orders: Vec<(f64, f64)>,
}

type Ngrams<'t> = HashMap<&'t [&'t str], u32>;

fn ngrams<'t>(tokens: &'t [&'t str], order: usize) -> Ngrams<'t> {
    let mut counts = Ngrams::new();
    for ngram in tokens.windows(order) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

impl Counts {
    /// Of a text against its references: a match counts as often as in the reference that has it most.
    pub(crate) fn of(text: &[&str], references: &[Vec<&str>], orders: usize, nmt: bool) -> Self {
        let lengths = references.iter().map(Vec::len);
        let reference = match nmt {
            true => lengths.min(),
            false => lengths.min_by_key(|&length| (length.abs_diff(text.len()), length)),
        };
        let order = |order: usize| {
            let mut most = Ngrams::new();
            for reference in references {
                for (ngram, count) in ngrams(reference, order) {
                    let entry = most.entry(ngram).or_default();
                    *entry = count.max(*entry);
                }
            }
            let mut sums = (0.0, 0.0);
            for (ngram, count) in ngrams(text, order) {
                let matches = most.get(ngram).map_or(0, |&most| most.min(count));
                sums.0 += f64::from(matches);
                sums.1 += f64::from(count);
            }
            sums
        };
        Self {
            length: text.len() as f64,
            reference: reference.unwrap_or_default() as f64,
            orders: (1..=orders).map(order).collect(),
        }
    }

    /// Adds these counts `times` times.
    pub(crate) fn add(&mut self, other: &Self, times: f64) {
        self.length += times * other.length;
        self.reference += times * other.reference;
        self.orders.resize(other.orders.len(), (0.0, 0.0));
        for (sum, order) in self.orders.iter_mut().zip(&other.orders) {
            sum.0 += times * order.0;
            sum.1 += times * order.1;
        }
    }

    /// BLEU, 0 to 100: the brevity penalty exp(1 - reference/length) of what is too short, times the
    /// geometric mean of the precisions.
    pub(crate) fn bleu(&self, rule: Rule) -> f64 {
        match rule {
            Rule::Sacrebleu {
                smoothing,
                value,
                effective_order,
            } => self.sacrebleu(smoothing, value, effective_order),
            Rule::Nmt(added) => 100.0 * self.nmt(added),
        }
    }

    /// `sacrebleu.BLEU.compute_bleu`.
    fn sacrebleu(&self, smoothing: Smoothing, value: f64, effective_order: bool) -> f64 {
        if self.orders.iter().all(|order| order.0 == 0.0) {
            return 0.0;
        }
        let mut precisions = vec![0.0; self.orders.len()];
        let mut effective = precisions.len();
        let mut halves = 1.0;
        for (n, &(mut correct, mut total)) in self.orders.iter().enumerate() {
            if smoothing == Smoothing::AddK && n > 0 {
                correct += value;
                total += value;
            }
            if total == 0.0 {
                break;
            }
            if effective_order {
                effective = n + 1;
            }
            precisions[n] = match smoothing {
                Smoothing::Exp if correct == 0.0 => {
                    halves *= 2.0;
                    100.0 / (halves * total)
                }
                Smoothing::Floor if correct == 0.0 => 100.0 * value / total,
                _ => 100.0 * correct / total,
            };
        }
        // sacrebleu's logarithm of 0.
        let log = |&p: &f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
        let logs = precisions[..effective].iter().map(log).sum::<f64>();
        self.brevity() * (logs / effective as f64).exp()
    }

    fn brevity(&self) -> f64 {
        match self.length < self.reference {
            true if self.length > 0.0 => (1.0 - self.reference / self.length).exp(),
            true => 0.0,
            false => 1.0,
        }
    }

    /// `compute_bleu` of TensorFlow NMT's bleu.py; 0 where that divides by a length of 0.
    fn nmt(&self, added: f64) -> f64 {
        if self.length == 0.0 || self.reference == 0.0 {
            return 0.0;
        }
        let precision = |&(correct, total): &(f64, f64)| match total + added > 0.0 {
            true => (correct + added) / (total + added),
            false => 0.0,
        };
        let precisions: Vec<f64> = self.orders.iter().map(precision).collect();
        if precisions.contains(&0.0) {
            return 0.0;
        }
        let logs = precisions.iter().map(|p| p.ln()).sum::<f64>();
        self.brevity() * (logs / precisions.len() as f64).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_scores_nothing() {
        let counts = Counts::of(&[], &[vec!["a"], vec![]], 4, false);
        assert_eq!((counts.length, counts.reference), (0.0, 0.0));
        for smoothing in [
            Smoothing::Exp,
            Smoothing::Floor,
            Smoothing::AddK,
            Smoothing::None,
        ] {
            let rule = Rule::Sacrebleu {
                smoothing,
                value: 1.0,
                effective_order: true,
            };
            assert_eq!(counts.bleu(rule), 0.0);
        }
        assert_eq!(counts.bleu(Rule::Nmt(1.0)), 0.0);
    }
}
