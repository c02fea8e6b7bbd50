//! ROUGE-N, ROUGE-L and ROUGE-Lsum of one text against one reference.

use std::collections::HashMap;
use std::hash::Hash;

use folkmoot_sdk::text::porter;

/// Precision, recall and F-measure.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub(crate) struct Rouge {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) f: f64,
}

impl Rouge {
    /// Of so many hits among so many of the text and of the reference; 0 where there are none of them.
    fn of(hits: usize, text: usize, reference: usize) -> Self {
        let share = |of: usize| hits as f64 / of.max(1) as f64;
        let (precision, recall) = (share(text), share(reference));
        let f = match precision + recall > 0.0 {
            true => 2.0 * precision * recall / (precision + recall),
            false => 0.0,
        };
        Self {
            precision,
            recall,
            f,
        }
    }
}

/// The tokenizer of rouge-score: runs of a to z and 0 to 9 in lower case. With `stem`, those of more
/// than three letters are stemmed.
pub(crate) fn tokens(text: &str, stem: bool) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let words = words.filter(|word| !word.is_empty());
    let words = words.map(|word| match stem && word.len() > 3 {
        true => porter::stem(word),
        false => word.into(),
    });
    words.collect()
}

/// ROUGE-N: n-grams in common.
pub(crate) fn ngrams(text: &[String], reference: &[String], n: usize) -> Rouge {
    let text_counts = counts(text.windows(n));
    let hits = counts(reference.windows(n))
        .into_iter()
        .map(|(ngram, count)| {
            let there = text_counts.get(ngram).copied().unwrap_or_default();
            there.min(count)
        });
    let total = |tokens: &[String]| (tokens.len() + 1).saturating_sub(n);
    Rouge::of(hits.sum(), total(text), total(reference))
}

fn counts<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// ROUGE-L: the longest common subsequence.
pub(crate) fn longest(text: &[String], reference: &[String]) -> Rouge {
    let mut row = vec![0; text.len() + 1];
    for token in reference {
        advance(&mut row, token, text, |_| ());
    }
    let length = row.last().copied().unwrap_or_default();
    Rouge::of(length as usize, text.len(), reference.len())
}

/// The next row of the table of lengths: of the reference up to and with `token` against every start of
/// `text`. `left` is told of every place where the length left of it exceeds the one above.
fn advance(row: &mut [u32], token: &String, text: &[String], mut left: impl FnMut(usize)) {
    let mut diagonal = 0;
    for (j, other) in text.iter().enumerate() {
        let above = row[j + 1];
        if row[j] > above {
            left(j);
        }
        row[j + 1] = match token == other {
            true => diagonal + 1,
            false => above.max(row[j]),
        };
        diagonal = above;
    }
}

/// ROUGE-Lsum: each sentence of the reference against all of the text's. What of it is in the longest
/// common subsequence with any of them is a hit, but no token more often than either side holds it.
pub(crate) fn summary(text: &[Vec<String>], reference: &[Vec<String>]) -> Rouge {
    let size = |sentences: &[Vec<String>]| sentences.iter().map(Vec::len).sum::<usize>();
    let [mut left, mut left_reference] =
        [text, reference].map(|sentences| counts(sentences.iter().flatten()));
    let mut hits = 0;
    for sentence in reference {
        let mut union = vec![false; sentence.len()];
        for other in text {
            common(other, sentence, &mut union);
        }
        for (token, _) in sentence.iter().zip(union).filter(|(_, common)| *common) {
            let there = [&mut left, &mut left_reference].map(|counts| counts.get_mut(token));
            if let [Some(text), Some(reference)] = there
                && *text > 0
                && *reference > 0
            {
                hits += 1;
                *text -= 1;
                *reference -= 1;
            }
        }
    }
    Rouge::of(hits, size(text), size(reference))
}

/// Marks one longest common subsequence in the reference: the one that rouge-score reads off its table
/// from the end, which passes over the reference's token where both ways are as long.
fn common(text: &[String], reference: &[String], marks: &mut [bool]) {
    let width = text.len();
    // A bit a place: whether to go left there.
    let mut left = vec![0u64; (width * reference.len()).div_ceil(64)];
    let mut row = vec![0; width + 1];
    for (i, token) in reference.iter().enumerate() {
        advance(&mut row, token, text, |j| {
            let bit = i * width + j;
            left[bit / 64] |= 1 << (bit % 64);
        });
    }
    let (mut i, mut j) = (reference.len(), width);
    while i > 0 && j > 0 {
        let bit = (i - 1) * width + j - 1;
        if reference[i - 1] == text[j - 1] {
            marks[i - 1] = true;
            (i, j) = (i - 1, j - 1);
        } else if left[bit / 64] >> (bit % 64) & 1 == 1 {
            j -= 1;
        } else {
            i -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_letters_and_digits_only() {
        assert_eq!(
            tokens("Ünïcode's CATS 1,5 \u{212a}", false),
            ["n", "code", "s", "cats", "1", "5", "k"]
        );
        assert_eq!(tokens("Running runs was", true), ["run", "run", "was"]);
    }
}
